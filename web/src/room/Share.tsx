// The link for others, and the code for another page.

import { useId, useState } from 'react';
import { Dialog } from '../ui/Dialog';
import { Icon } from '../ui/Icon';
import { embedCode, watchLink } from './address';
import { usePage } from './context';

/** Opens the dialog with link and embed code. */
export function ShareButton() {
  const { streamId } = usePage();
  const [open, setOpen] = useState(false);
  const { origin } = window.location;
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
            <CopyField label="To put it into another page" text={embedCode(origin, streamId)} />
          </div>
        </Dialog>
      )}
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
