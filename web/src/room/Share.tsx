// The link for others, and the code for another page.

import { useId, useState } from 'react';
import { createInvite } from '../api/client';
import { explain } from '../api/error';
import { recallPass } from '../lib/passes';
import { useStore } from '../lib/store';
import { meOf } from '../session/state';
import { Dialog } from '../ui/Dialog';
import { Icon } from '../ui/Icon';
import { embedCode, watchLink } from './address';
import { usePage } from './context';

/** Opens the dialog with link and embed code. */
export function ShareButton() {
  const { streamId, session } = usePage();
  const [open, setOpen] = useState(false);
  const { origin } = window.location;
  const host = meOf(useStore(session.state))?.role === 'host';
  const hostKey = recallPass('hostKey', streamId);
  return (
    <>
      <button type="button" className="quiet" onClick={() => setOpen(true)}>
        <Icon name="share" />
        Share
      </button>
      {open && (
        <Dialog title="Share" onClose={() => setOpen(false)}>
          <div className="form">
            <CopyField label="Link to watch" text={watchLink(origin, streamId)} />
            {host && <InviteField />}
            {host && hostKey !== null && (
              <CopyField
                label="Link for another host (it gives everything away)"
                text={`${watchLink(origin, streamId)}#hostKey=${hostKey}`}
              />
            )}
            <CopyField label="To put it into another page" text={embedCode(origin, streamId)} />
          </div>
        </Dialog>
      )}
    </>
  );
}

/** A link that lets somebody in, made when it is asked for. */
function InviteField() {
  const { streamId } = usePage();
  const [link, setLink] = useState<string | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const make = (role: 'viewer' | 'speaker') => {
    setProblem(null);
    createInvite(streamId, role)
      .then((path) => setLink(window.location.origin + path))
      .catch((error: unknown) => setProblem(explain(error)));
  };
  if (link !== null) return <CopyField key={link} label="Invite, good for a day" text={link} />;
  return (
    <>
      <div className="form-actions">
        <button type="button" className="plain" onClick={() => make('viewer')}>
          Invite to watch
        </button>
        <button type="button" className="plain" onClick={() => make('speaker')}>
          Invite to speak
        </button>
      </div>
      {problem !== null && <p className="problem">{problem}</p>}
    </>
  );
}

function CopyField({ label, text }: { label: string; text: string }) {
  const field = useId();
  const [said, setSaid] = useState('');
  const copy = async (input: HTMLInputElement | null) => {
    input?.select();
    try {
      await navigator.clipboard.writeText(text);
      setSaid('Copied');
    } catch {
      setSaid('Press Ctrl C to copy');
    }
  };
  return (
    <>
      <label htmlFor={field}>{label}</label>
      <div className="copy">
        <input id={field} readOnly value={text} onFocus={(event) => event.target.select()} />
        <button
          type="button"
          className="plain"
          onClick={() => void copy(document.getElementById(field) as HTMLInputElement | null)}
        >
          Copy
        </button>
      </div>
      <p className="hint" role="status">
        {said}
      </p>
    </>
  );
}
