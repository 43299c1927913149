// What a host can change while the stream runs: its title, and who may speak.

import { type FormEvent, useEffect, useId, useState } from 'react';
import { changeStream, getStream } from '../api/client';
import { ApiError, explain } from '../api/error';
import type { Role, StreamInfo } from '../api/types';
import { Dialog } from '../ui/Dialog';
import { Icon } from '../ui/Icon';
import { SignIn } from '../ui/SignIn';
import { SpeakChoice } from '../ui/SpeakChoice';
import { usePage } from './context';

/** Opens the dialog. */
export function SettingsButton() {
  const [open, setOpen] = useState(false);
  return (
    <>
      <button
        type="button"
        className="quiet round"
        aria-label="Change title and settings"
        title="Change title and settings"
        onClick={() => setOpen(true)}
      >
        <Icon name="edit" />
      </button>
      {open && <Settings onClose={() => setOpen(false)} />}
    </>
  );
}

/** Reads what is there first, and changes it only if it is still that. */
function Settings({ onClose }: { onClose: () => void }) {
  const { streamId } = usePage();
  const [head, setHead] = useState<StreamInfo | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [signing, setSigning] = useState(false);
  const [reading, setReading] = useState(0);
  // biome-ignore lint/correctness/useExhaustiveDependencies: `reading` is there to read again.
  useEffect(() => {
    let wanted = true;
    getStream(streamId)
      .then((told) => wanted && setHead(told))
      .catch((error: unknown) => wanted && setProblem(explain(error)));
    return () => {
      wanted = false;
    };
  }, [streamId, reading]);
  const failed = (error: unknown) => {
    setProblem(explain(error, { conflict: 'The stream has ended.' }));
    if (!(error instanceof ApiError)) return;
    if (error.kind === 'unauthorized') setSigning(true);
    if (error.kind !== 'changed') return;
    setHead(null);
    setReading(reading + 1);
  };
  if (signing)
    return (
      <SignIn
        reason="Changing a stream needs a key."
        onClose={() => setSigning(false)}
        onDone={() => setSigning(false)}
      />
    );
  return (
    <Dialog title="Title and settings" onClose={onClose}>
      <div role="alert">{problem !== null && <p className="problem">{problem}</p>}</div>
      {head === null ? (
        <p className="muted">One moment …</p>
      ) : (
        <SettingsForm head={head} onDone={onClose} onFailed={failed} />
      )}
    </Dialog>
  );
}

function SettingsForm(props: { head: StreamInfo; onDone: () => void; onFailed: (error: unknown) => void }) {
  const { head } = props;
  const field = useId();
  const [title, setTitle] = useState(head.title ?? '');
  const [speak, setSpeak] = useState<Role>(head.defaultRole === 'viewer' ? 'viewer' : 'speaker');
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    try {
      const wanted = title.trim();
      await changeStream(
        head.streamId,
        { title: wanted === '' ? null : wanted, defaultRole: speak },
        head.settingsTag,
      );
      props.onDone();
    } catch (error) {
      setBusy(false);
      props.onFailed(error);
    }
  };
  return (
    <form className="form" onSubmit={(event) => void submit(event)}>
      <label htmlFor={field}>Title</label>
      <input
        id={field}
        value={title}
        maxLength={200}
        placeholder={head.streamId}
        autoComplete="off"
        onChange={(event) => setTitle(event.target.value)}
      />
      <SpeakChoice role={speak} onChange={setSpeak} />
      <p className="hint">Who is here already keeps their role.</p>
      <div className="form-actions">
        <button type="submit" className="primary" disabled={busy}>
          {busy ? 'Saving …' : 'Save'}
        </button>
      </div>
    </form>
  );
}
