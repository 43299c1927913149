// The end for everyone, asked twice.

import { useState } from 'react';
import { endStream } from '../api/client';
import { ApiError, explain } from '../api/error';
import { Dialog } from '../ui/Dialog';
import { Icon } from '../ui/Icon';
import { SignIn } from '../ui/SignIn';
import { usePage } from './context';

/** The host's button. The page changes when the server says that it is over. */
export function EndButton({ title }: { title: string }) {
  const { streamId } = usePage();
  const [asking, setAsking] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const [signing, setSigning] = useState(false);
  const end = async () => {
    setBusy(true);
    setProblem(null);
    try {
      await endStream(streamId);
    } catch (error) {
      setBusy(false);
      setProblem(explain(error));
      setSigning(error instanceof ApiError && error.kind === 'unauthorized');
    }
  };
  const open = () => {
    setProblem(null);
    setBusy(false);
    setAsking(true);
  };
  return (
    <>
      <button
        type="button"
        className="control control-wide control-end"
        aria-label="End for everyone"
        title="End for everyone"
        onClick={open}
      >
        <Icon name="stop" filled />
        <span className="control-text">End</span>
      </button>
      {asking && !signing && (
        <Dialog title="End for everyone?" onClose={() => setAsking(false)}>
          <p className="muted">“{title}” stops for everybody who watches. It cannot be taken back.</p>
          <div role="alert">{problem !== null && <p className="problem">{problem}</p>}</div>
          <div className="form-actions">
            <button type="button" className="plain" onClick={() => setAsking(false)}>
              Go on
            </button>
            <button type="button" className="primary" disabled={busy} onClick={() => void end()}>
              {busy ? 'Ending …' : 'End for everyone'}
            </button>
          </div>
        </Dialog>
      )}
      {signing && (
        <SignIn
          reason="Ending a stream needs a key."
          onClose={() => setSigning(false)}
          onDone={() => setSigning(false)}
        />
      )}
    </>
  );
}
