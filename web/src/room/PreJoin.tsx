// The door: a name, a role, and for those who publish camera and microphone
// with preview and level.

import { type FormEvent, useEffect, useId, useMemo, useState } from 'react';
import { getStream } from '../api/client';
import type { Role, StreamInfo } from '../api/types';
import { keep, recall } from '../lib/storage';
import { useStore } from '../lib/store';
import { claimIdentity, fourCharacters, identityFor, isMine, recallPlace } from '../session/identity';
import { canCapture, Preview } from '../session/preview';
import type { Refusal } from '../session/state';
import { hasKey, SignIn } from '../ui/SignIn';
import { refusalText, timeText } from '../view/words';
import { usePage } from './context';
import { DoorHead } from './DoorHead';
import { PreviewBox } from './PreviewBox';

/** The page before joining. `again`: the stream we were in has ended and started anew. */
export function PreJoin(props: {
  title: string;
  info: StreamInfo | null;
  refusal: Refusal | null;
  again: boolean;
}) {
  const { streamId, feed, session } = usePage();
  const { link } = useStore(feed);
  const nameField = useId();
  const [name, setName] = useState(() => recall<string>('local', 'name') ?? '');
  const [role, setRole] = useState<Role>(() => (isMine(streamId) ? 'host' : 'viewer'));
  const open = useOpenToAll(streamId);
  const [busy, setBusy] = useState(false);
  const [signing, setSigning] = useState(false);
  const preview = usePreview(role !== 'viewer');
  const join = async () => {
    setBusy(true);
    keep('local', 'name', name.trim());
    const called = name.trim() || (role === 'host' ? 'Host' : 'Guest');
    const { identity, token } = await ourIdentity(streamId, called);
    const { tracks, starting } = preview.take();
    await session.join({ identity, name: called, role }, token, tracks, starting);
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!busy) void join();
  };
  return (
    <main className={role === 'viewer' ? 'door' : 'door door-wide'}>
      {role !== 'viewer' && <PreviewBox preview={preview} />}
      <form className="form door-form" onSubmit={submit}>
        <DoorHead title={props.title} info={props.info} />
        {props.again && <p className="hint">It has started again.</p>}
        <div role="status">
          {link.is === 'down' && (
            <p className="hint">Server not reachable since {timeText(link.since)} · trying again</p>
          )}
        </div>
        <div role="alert">
          {props.refusal !== null && <p className="problem">{refusalText(props.refusal, hasKey())}</p>}
        </div>
        <label htmlFor={nameField}>Your name</label>
        <input
          id={nameField}
          value={name}
          maxLength={60}
          autoComplete="nickname"
          placeholder={role === 'host' ? 'Host' : 'Guest'}
          onChange={(event) => setName(event.target.value)}
        />
        <RoleChoice role={role} open={open} onChange={setRole} />
        <button type="submit" className="primary door-join" disabled={busy}>
          {busy ? 'Joining …' : joinLabel(role, props.info)}
        </button>
        {role !== 'viewer' && !canCapture() && (
          <p className="hint">You can join, but camera and microphone need HTTPS or localhost.</p>
        )}
        {props.refusal === 'key' || props.refusal === 'forbidden' ? (
          <button type="button" className="plain" onClick={() => setSigning(true)}>
            Sign in with a key
          </button>
        ) : null}
        <a className="hint door-back" href="/">
          All streams
        </a>
      </form>
      {signing && <SignIn onClose={() => setSigning(false)} onDone={() => setSigning(false)} />}
    </main>
  );
}

function joinLabel(role: Role, info: StreamInfo | null): string {
  if (role === 'host') return info?.phase === 'live' ? 'Join on stage' : 'Go live';
  return role === 'speaker' ? 'Join' : 'Watch';
}

/** Nobody's camera is asked for before they chose to take part. */
function RoleChoice(props: { role: Role; open: boolean; onChange: (role: Role) => void }) {
  const roles: [Role, string][] = [['viewer', 'Watch']];
  if (props.open) roles.push(['speaker', 'Take part']);
  roles.push(['host', 'Host']);
  return (
    <fieldset>
      <legend>Join to</legend>
      <div className="choices">
        {roles.map(([role, label]) => (
          <label key={role}>
            <input
              type="radio"
              name="role"
              checked={props.role === role}
              onChange={() => props.onChange(role)}
            />
            {label}
          </label>
        ))}
      </div>
    </fieldset>
  );
}

/** Whether everybody may speak here. The events do not say; until the answer comes, only watching is offered. */
function useOpenToAll(streamId: string): boolean {
  const [open, setOpen] = useState(false);
  useEffect(() => {
    let wanted = true;
    getStream(streamId)
      .then((info) => wanted && setOpen(info.defaultRole !== undefined && info.defaultRole !== 'viewer'))
      .catch(() => undefined);
    return () => {
      wanted = false;
    };
  }, [streamId]);
  return open;
}

/** The identity this tab had here, if it still may use it, else a new one. */
async function ourIdentity(
  streamId: string,
  name: string,
): Promise<{ identity: string; token: string | null }> {
  const place = recallPlace(streamId);
  if (place !== null && place.name === name && (await claimIdentity(place.identity))) return place;
  const identity = identityFor(name, fourCharacters());
  await claimIdentity(identity);
  return { identity, token: null };
}

/** Camera and microphone, on while they are wanted and the page is there. */
function usePreview(wanted: boolean): Preview {
  const preview = useMemo(() => new Preview(), []);
  useEffect(() => {
    if (!wanted) return;
    void preview.set('camera', true);
    void preview.set('microphone', true);
    return () => preview.close();
  }, [preview, wanted]);
  useStore(preview.state);
  return preview;
}
