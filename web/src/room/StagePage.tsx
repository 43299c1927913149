// The room while we are in it: the stage, what one can do under it, and the
// panel with people and chat beside it.

import { RoomAudioRenderer } from '@livekit/components-react';
import { useEffect, useRef, useState } from 'react';
import type { StreamInfo } from '../api/types';
import { useStore } from '../lib/store';
import { meOf } from '../session/state';
import { Icon } from '../ui/Icon';
import { requests } from '../view/people';
import type { Stage as StageState } from '../view/room';
import { Controls } from './Controls';
import { usePage } from './context';
import { usePeople } from './hooks';
import { Notices } from './Notices';
import { Panel, type PanelTab } from './Panel';
import { Reactions } from './Reactions';
import { SettingsButton } from './Settings';
import { ShareButton } from './Share';
import { Stage } from './Stage';
import { StageStatus } from './StageStatus';
import { useIdle } from './useIdle';

/** Wider screens show the panel beside the stage from the start. */
const WIDE = '(min-width: 960px)';

/** The page. */
export function StagePage(props: {
  title: string;
  info: StreamInfo | null;
  stage: StageState;
  staleSince: number | null;
}) {
  const { session } = usePage();
  const me = meOf(useStore(session.state));
  const people = usePeople();
  const [tab, setTab] = useState<PanelTab | null>(() => firstTab(me?.role === 'host'));
  const page = useRef<HTMLDivElement>(null);
  const idle = useIdle(page);
  useEffect(() => session.chat.open(tab === 'chat'), [session, tab]);
  useSweep();
  if (me === null) return null;
  const mayPublish = me.role !== 'viewer';
  const goLive = () => {
    const failed = () => session.say('Camera or microphone could not be started. See the switches below.');
    void Promise.all([session.publish('camera', true), session.publish('microphone', true)]).catch(failed);
  };
  const action = mayPublish ? (
    <button type="button" className="primary" onClick={goLive}>
      Go live
    </button>
  ) : undefined;
  return (
    <div className={`room${tab === null ? '' : ' room-panelled'}`}>
      <div className={`room-main${idle ? ' idle' : ''}`} ref={page}>
        <header className="room-head">
          <a className="button quiet round" href="/" aria-label="All streams" title="All streams">
            <Icon name="back" />
          </a>
          <h1 title={props.title}>{props.title}</h1>
          {me.role === 'host' && <SettingsButton />}
          <ShareButton />
        </header>
        <Stage>
          <StageStatus stage={props.stage} staleSince={props.staleSince} info={props.info} action={action} />
          <Reactions />
          <Notices />
        </Stage>
        <Controls
          me={me}
          info={props.info}
          stage={props.stage}
          people={people}
          title={props.title}
          tab={tab}
          onTab={(wanted) => setTab(tab === wanted ? null : wanted)}
          fullscreen={page}
        />
      </div>
      {tab !== null && <Panel tab={tab} onTab={setTab} people={people} me={me} asking={requests(people)} />}
      <RoomAudioRenderer />
    </div>
  );
}

function firstTab(host: boolean): PanelTab | null {
  if (!window.matchMedia(WIDE).matches) return null;
  return host ? 'people' : 'chat';
}

/** Messages and reactions go away by themselves; nothing ticks while there are none. */
function useSweep(): void {
  const { session } = usePage();
  const floating = useStore(session.chat.state).reactions.length > 0;
  const shown = useStore(session.notices).list.length > 0;
  useEffect(() => {
    if (!floating && !shown) return;
    const timer = setInterval(() => session.sweep(), 500);
    return () => clearInterval(timer);
  }, [session, floating, shown]);
}
