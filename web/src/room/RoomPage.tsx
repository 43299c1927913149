// The room page: decides what is on the screen, from `viewRoom` alone.

import { useEffect, useState } from 'react';
import type { Feed } from '../feed/shared';
import type { StreamFeed } from '../feed/stream';
import { useNow } from '../lib/clock';
import { useStore } from '../lib/store';
import { RoomSession } from '../session/controller';
import { recallPlace } from '../session/identity';
import { meOf } from '../session/state';
import '@livekit/components-styles/components/participant';
import '../styles/door.css';
import '../styles/stage.css';
import '../styles/panel.css';
import '../styles/room.css';
import { viewRoom } from '../view/room';
import { PageProvider, usePage } from './context';
import { Ended } from './Ended';
import { Connecting, GonePage, Missing, Unreachable } from './Messages';
import { PreJoin } from './PreJoin';
import { StagePage } from './StagePage';

/** The page, with its connection. A reload comes back to where it was. */
export function roomPage(streamId: string, feed: Feed<StreamFeed>) {
  const session = new RoomSession(streamId, feed);
  comeBack(streamId, session);
  session.closeWithPage();
  return (
    <PageProvider page={{ streamId, feed, session }}>
      <RoomPage />
    </PageProvider>
  );
}

function comeBack(streamId: string, session: RoomSession): void {
  const place = recallPlace(streamId);
  if (place === null || !place.inside) return;
  const { identity, name, role, token, camera, microphone } = place;
  void session.comeBack({ identity, name, role }, token, { camera, microphone });
}

function RoomPage() {
  const { streamId, feed, session } = usePage();
  const stream = useStore(feed);
  const state = useStore(session.state);
  const media = useStore(session.media);
  useNow(1_000);
  // Media times are the page's own, not the server's.
  const view = viewRoom(stream, state, media, Date.now());
  const title = stream.info?.title ?? streamId;
  const [hosted, setHosted] = useState(false);
  useEffect(() => {
    document.title = title;
  }, [title]);
  useEffect(() => {
    if (meOf(state)?.role === 'host') setHosted(true);
  }, [state]);
  switch (view.show) {
    case 'connecting':
      return <Connecting />;
    case 'unreachable':
      return <Unreachable since={view.since} />;
    case 'missing':
      return <Missing streamId={streamId} />;
    case 'prejoin':
      return <PreJoin title={title} info={stream.info} refusal={view.refusal} again={view.again} />;
    case 'ended':
      return <Ended title={title} info={view.info} hosted={hosted} />;
    case 'gone':
      return <GonePage why={view.why} title={title} />;
    case 'stage':
      return <StagePage title={title} info={stream.info} stage={view.stage} staleSince={view.staleSince} />;
  }
}
