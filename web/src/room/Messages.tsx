// The pages without a video: what is going on, and what one can do.

import type { ReactNode } from 'react';
import { useNow } from '../lib/clock';
import type { Gone } from '../session/state';
import { meOf } from '../session/state';
import { durationText, timeText } from '../view/words';
import { usePage } from './context';

/** One message in the middle of the page. */
export function Message(props: { title: string; children?: ReactNode; actions?: ReactNode }) {
  return (
    <main className="message">
      <h1>{props.title}</h1>
      <div className="message-text muted" role="status">
        {props.children}
      </div>
      <div className="message-actions">{props.actions}</div>
    </main>
  );
}

/** The way back. */
export function BackLink({ primary = false }: { primary?: boolean }) {
  return (
    <a className={primary ? 'button primary' : 'button plain'} href="/">
      All streams
    </a>
  );
}

/** Before anything is known. */
export function Connecting() {
  return (
    <Message title="Connecting …">
      <span className="spinner" aria-hidden="true" />
    </Message>
  );
}

/** The server does not answer. */
export function Unreachable({ since }: { since: number }) {
  const now = useNow(1_000);
  return (
    <Message title="The server cannot be reached" actions={<BackLink />}>
      <p>
        Since {timeText(since)} ({durationText(Math.max(0, now - since))}). Trying again by itself.
      </p>
    </Message>
  );
}

/** There is no such stream. */
export function Missing({ streamId }: { streamId: string }) {
  return (
    <Message title="This stream does not exist" actions={<BackLink primary />}>
      <p>
        There is no stream called “{streamId}”, or it ended a while ago. Should it start, it opens here by
        itself. A private stream opens with an invite only: ask its host for one.
      </p>
    </Message>
  );
}

/** We are out, and why. */
export function GonePage({ why, title }: { why: Exclude<Gone, 'ended'>; title: string }) {
  const { session } = usePage();
  const me = meOf(session.state.get());
  const again = (label: string) => (
    <button type="button" className="primary" onClick={() => session.reset()}>
      {label}
    </button>
  );
  const back = () => {
    if (me === null) return session.reset();
    void session.comeBack(me, null, { camera: false, microphone: false });
  };
  switch (why) {
    case 'left':
      return (
        <Message
          title={`You left “${title}”`}
          actions={
            <>
              {again('Join again')}
              <BackLink />
            </>
          }
        >
          <p>The stream goes on.</p>
        </Message>
      );
    case 'removed':
      return (
        <Message title="You were removed" actions={<BackLink primary />}>
          <p>The host took you out of “{title}”.</p>
        </Message>
      );
    case 'replaced':
      return (
        <Message
          title="You are here in another tab"
          actions={
            <>
              {again('Use this one')}
              <BackLink />
            </>
          }
        >
          <p>“{title}” was opened as you in another tab or on another device.</p>
        </Message>
      );
    case 'lost':
      return (
        <Message
          title="The connection is lost"
          actions={
            <>
              <button type="button" className="primary" onClick={back}>
                Try again
              </button>
              <BackLink />
            </>
          }
        >
          <p>Coming back to “{title}” did not work for a minute. Check your network.</p>
        </Message>
      );
  }
}
