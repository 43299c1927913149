// What is going on, over the stage: in the middle while there is nothing to
// see, in a corner while there is.

import { useRoomContext } from '@livekit/components-react';
import type { ReactNode } from 'react';
import type { StreamInfo } from '../api/types';
import { useNow } from '../lib/clock';
import { Icon } from '../ui/Icon';
import type { Stage } from '../view/room';
import { agoText, durationText, timeText } from '../view/words';
import { useHasRemoteSound, useSoundBlocked } from './hooks';

/** The state of the stage in words. `action` is what a host can do about it. */
export function StageStatus(props: {
  stage: Stage;
  staleSince: number | null;
  info: StreamInfo | null;
  action?: ReactNode;
}) {
  const { stage } = props;
  return (
    <>
      <div className="stage-status" role="status" data-stage={stage.is}>
        <Words stage={stage} info={props.info} action={props.action} />
      </div>
      <div className="stage-pills">
        <div role="status">
          {stage.is === 'behind' && <p className="pill">Catching up …</p>}
          {props.staleSince !== null && (
            <p className="pill">Server not reachable since {timeText(props.staleSince)} · trying again</p>
          )}
        </div>
        <SoundButton />
      </div>
    </>
  );
}

function Words({ stage, info, action }: { stage: Stage; info: StreamInfo | null; action?: ReactNode }) {
  switch (stage.is) {
    case 'connecting':
      return <Big title="Connecting …" spinner />;
    case 'reconnecting':
      return <Reconnecting since={stage.since} />;
    case 'waiting':
      return action === undefined ? (
        <Waiting info={info} />
      ) : (
        <Big title="You are not live yet">{action}</Big>
      );
    case 'away':
      return <Away stage={stage}>{action}</Away>;
    case 'live':
    case 'behind':
      return null;
  }
}

function Big({
  title,
  spinner = false,
  children,
}: {
  title: string;
  spinner?: boolean;
  children?: ReactNode;
}) {
  return (
    <div className="stage-words">
      {spinner && <span className="spinner" aria-hidden="true" />}
      <h2>{title}</h2>
      {children}
    </div>
  );
}

function Waiting({ info }: { info: StreamInfo | null }) {
  const now = useNow(10_000);
  return (
    <Big title="Waiting for the host">
      <p>
        {info !== null && `Opened ${agoText(now - Date.parse(info.startedAt))}. `}
        It starts here by itself.
      </p>
    </Big>
  );
}

function Reconnecting({ since }: { since: number }) {
  useNow(1_000);
  return (
    <Big title="Reconnecting …" spinner>
      <p>Your connection was lost {agoText(Date.now() - since)}. This page comes back by itself.</p>
    </Big>
  );
}

function Away({ stage, children }: { stage: Extract<Stage, { is: 'away' }>; children?: ReactNode }) {
  const now = useNow(1_000);
  const left = stage.until === null ? null : stage.until - now;
  return (
    <Big title="The host is away">
      <p aria-live="off">
        {left !== null && left > 0 && `Time to come back: ${durationText(left)}.`}
        {left === null && stage.since !== null && `Away for ${durationText(now - stage.since)}.`} The stream
        goes on here when they are back.
      </p>
      {children}
    </Big>
  );
}

/** Browsers keep sound back until the page was touched. */
function SoundButton() {
  const room = useRoomContext();
  const blocked = useSoundBlocked();
  const sound = useHasRemoteSound();
  if (!blocked || !sound) return null;
  return (
    <button type="button" className="primary sound" onClick={() => void room.startAudio()}>
      <Icon name="sound-off" />
      Tap for sound
    </button>
  );
}
