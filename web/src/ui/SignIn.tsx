// Signing in with a key, kept for the session of this tab only.

import { type FormEvent, useId, useState } from 'react';
import { KEY_SHELF } from '../api/client';
import { keep, recall } from '../lib/storage';
import { Dialog } from './Dialog';

/** Whether this tab has a key. */
export function hasKey(): boolean {
  return recall<string>('session', KEY_SHELF) !== null;
}

/** Asks for a key; `reason` says what for. `onDone` hears that there is one now, or that it was taken away. */
export function SignIn(props: { reason?: string; onClose: () => void; onDone: () => void }) {
  const field = useId();
  const [key, setKey] = useState('');
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const given = key.trim();
    if (given === '') return;
    keep('session', KEY_SHELF, given);
    props.onDone();
  };
  const forget = () => {
    keep('session', KEY_SHELF, null);
    props.onDone();
  };
  return (
    <Dialog title="Sign in with a key" onClose={props.onClose}>
      <form className="form" onSubmit={submit}>
        <p className="muted">
          {props.reason ?? 'Whoever runs this server gives out keys. It is kept until you close this tab.'}
        </p>
        <label htmlFor={field}>Key</label>
        <input
          id={field}
          type="password"
          autoComplete="off"
          value={key}
          onChange={(event) => setKey(event.target.value)}
        />
        <div className="form-actions">
          {hasKey() && (
            <button type="button" className="plain" onClick={forget}>
              Sign out
            </button>
          )}
          <button type="submit" className="primary" disabled={key.trim() === ''}>
            Sign in
          </button>
        </div>
      </form>
    </Dialog>
  );
}
