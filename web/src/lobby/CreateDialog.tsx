// A new stream: a name, an optional title, who may speak. Created, it leads
// straight to the host's door.

import { type FormEvent, useId, useState } from 'react';
import { createStream } from '../api/client';
import { ApiError, explain } from '../api/error';
import type { Role, Visibility } from '../api/types';
import { rememberMine } from '../session/identity';
import { Dialog } from '../ui/Dialog';
import { SignIn } from '../ui/SignIn';
import { SpeakChoice } from '../ui/SpeakChoice';
import { VisibilityChoice } from '../ui/VisibilityChoice';

const SPECIAL = {
  forbidden: 'This key may look, but not open streams. Sign in with an admin key.',
  conflict: 'A room of this name belongs to somebody else. Choose another name.',
};

/** The dialog. */
export function CreateDialog({ onClose }: { onClose: () => void }) {
  const nameField = useId();
  const titleField = useId();
  const [name, setName] = useState('');
  const [title, setTitle] = useState('');
  const [speak, setSpeak] = useState<Role>('viewer');
  const [visibility, setVisibility] = useState<Visibility>('public');
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const [taken, setTaken] = useState<string | null>(null);
  const [signing, setSigning] = useState(false);

  const create = async () => {
    setBusy(true);
    setProblem(null);
    setTaken(null);
    try {
      const wish = {
        name: name.trim(),
        defaultRole: speak,
        ...(visibility === 'public' ? {} : { visibility }),
        ...(title.trim() === '' ? {} : { title: title.trim() }),
      };
      const { streamId, created } = await createStream(wish);
      if (!created) return setTaken(streamId);
      rememberMine(streamId);
      window.location.assign(roomAddress(streamId));
    } catch (error) {
      if (error instanceof ApiError && error.kind === 'unauthorized') setSigning(true);
      setProblem(explain(error, SPECIAL));
    } finally {
      setBusy(false);
    }
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (name.trim() !== '' && !busy) void create();
  };
  const signedIn = () => {
    setSigning(false);
    void create();
  };

  if (signing) {
    return (
      <SignIn
        reason="Opening a stream here needs a key."
        onClose={() => setSigning(false)}
        onDone={signedIn}
      />
    );
  }
  return (
    <Dialog title="New stream" onClose={onClose}>
      <form className="form" onSubmit={submit}>
        <label htmlFor={nameField}>Name</label>
        <input
          id={nameField}
          value={name}
          maxLength={128}
          required
          autoComplete="off"
          onChange={(event) => setName(event.target.value)}
        />
        <p className="hint">Short, and part of the link.</p>
        <label htmlFor={titleField}>
          Title <span className="muted">(optional)</span>
        </label>
        <input
          id={titleField}
          value={title}
          maxLength={200}
          autoComplete="off"
          onChange={(event) => setTitle(event.target.value)}
        />
        <SpeakChoice role={speak} onChange={setSpeak} />
        <VisibilityChoice visibility={visibility} onChange={setVisibility} />
        <div role="alert">
          {problem !== null && <p className="problem">{problem}</p>}
          {taken !== null && (
            <p className="problem">
              <span>
                “{taken}” is on already. <a href={roomAddress(taken)}>Go there</a>, or choose another name.
              </span>
            </p>
          )}
        </div>
        <div className="form-actions">
          <button type="submit" className="primary" disabled={busy || name.trim() === ''}>
            {busy ? 'Creating …' : 'Create'}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function roomAddress(streamId: string): string {
  return `/room.html?streamId=${encodeURIComponent(streamId)}`;
}
