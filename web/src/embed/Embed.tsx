// One stream in a frame of another page: the video and hardly anything else.

import { RoomAudioRenderer } from '@livekit/components-react';
import { useEffect, useRef } from 'react';
import type { Feed } from '../feed/shared';
import type { StreamFeed } from '../feed/stream';
import { useNow } from '../lib/clock';
import { useStore } from '../lib/store';
import { watchLink } from '../room/address';
import { PageProvider, usePage } from '../room/context';
import { Stage } from '../room/Stage';
import { StageStatus } from '../room/StageStatus';
import { FullscreenButton } from '../room/ViewTools';
import { RoomSession } from '../session/controller';
import { fourCharacters, identityFor } from '../session/identity';
import { Icon } from '../ui/Icon';
import '@livekit/components-styles/components/participant';
import '../styles/stage.css';
import '../styles/room.css';
import '../styles/embed.css';
import { type RoomView, viewRoom } from '../view/room';
import { clockText, endText, refusalText } from '../view/words';

/** The page of an embed, with its connection. */
export function embedPage(streamId: string, feed: Feed<StreamFeed>) {
  const session = new RoomSession(streamId, feed);
  session.closeWithPage();
  return (
    <PageProvider page={{ streamId, feed, session }}>
      <Embed />
    </PageProvider>
  );
}

function Embed() {
  const { streamId, feed, session } = usePage();
  const stream = useStore(feed);
  const view = viewRoom(stream, useStore(session.state), useStore(session.media), Date.now());
  const page = useRef<HTMLDivElement>(null);
  const now = useNow(1_000);
  const { info } = stream;
  const title = info?.title ?? streamId;
  const ready = view.show === 'prejoin' && view.refusal === null;
  useEffect(() => {
    document.title = title;
  }, [title]);
  useEffect(() => {
    if (!ready) return;
    const identity = identityFor('guest', `${fourCharacters()}${fourCharacters()}`);
    void session.join({ identity, name: 'Guest', role: 'viewer' }, null);
  }, [ready, session]);
  return (
    <div className="embed" ref={page}>
      <Stage>
        {view.show === 'stage' ? (
          <StageStatus stage={view.stage} staleSince={view.staleSince} info={info} />
        ) : (
          <Aside view={view} onAgain={() => session.reset()} />
        )}
      </Stage>
      <div className="embed-bar">
        {info?.phase === 'live' && (
          <span className="live">LIVE {clockText(now - Date.parse(info.startedAt))}</span>
        )}
        <span className="embed-title">{title}</span>
        <a
          className="button control"
          href={watchLink(window.location.origin, streamId)}
          target="_blank"
          rel="noopener"
          aria-label="Open the room in a new tab"
          title="Open the room"
        >
          <Icon name="open" />
        </a>
        <FullscreenButton element={page} />
      </div>
      <RoomAudioRenderer />
    </div>
  );
}

function Aside({ view, onAgain }: { view: Exclude<RoomView, { show: 'stage' }>; onAgain: () => void }) {
  const retry =
    (view.show === 'gone' && view.why !== 'removed') || (view.show === 'prejoin' && view.refusal !== null);
  return (
    <div className="stage-status" role="status">
      <div className="stage-words">
        <h2>{words(view)}</h2>
        {retry && (
          <button type="button" className="primary" onClick={onAgain}>
            Try again
          </button>
        )}
      </div>
    </div>
  );
}

function words(view: Exclude<RoomView, { show: 'stage' }>): string {
  switch (view.show) {
    case 'connecting':
      return 'Connecting …';
    case 'unreachable':
      return 'The server cannot be reached. Trying again.';
    case 'missing':
      return 'This stream does not exist';
    case 'prejoin':
      return view.refusal === null ? 'Connecting …' : refusalText(view.refusal, false);
    case 'ended':
      return `This stream has ended. ${endText(view.info?.endReason)}`;
    case 'gone':
      return view.why === 'removed' ? 'You were removed by the host' : 'The connection is lost';
  }
}
