// One stream of the lobby: a link to its room.

import { memo } from 'react';
import type { StreamInfo } from '../api/types';
import { Icon } from '../ui/Icon';
import { agoText, durationText, endText, exactText } from '../view/words';

/** Ended streams step back the longer ago they ended. */
const FADE_MS = 60_000;

/** A card. `now` is the time its words are about; it changes seldom, so that the card rests. */
export const StreamCard = memo(function StreamCard({ stream, now }: { stream: StreamInfo; now: number }) {
  const title = stream.title ?? stream.streamId;
  const faded = stream.phase === 'ended' && now - Date.parse(stream.endedAt ?? '') > FADE_MS;
  return (
    <li className={`card card-${stream.phase}${faded ? ' card-faded' : ''}`} data-stream={stream.streamId}>
      <a href={`/room.html?streamId=${encodeURIComponent(stream.streamId)}`}>
        <span className="card-top">
          <PhaseLabel stream={stream} />
          {stream.phase !== 'ended' && (
            <span className="card-count" title={`${stream.participantCount} in the room`}>
              <Icon name="eye" />
              <span className="visually-hidden">People here: </span>
              {stream.participantCount.toLocaleString('en')}
            </span>
          )}
        </span>
        <span className="card-title">{title}</span>
        <span className="card-foot muted">
          {stream.title !== undefined && stream.phase !== 'ended' && (
            <span className="card-id">{stream.streamId}</span>
          )}
          <When stream={stream} now={now} />
        </span>
      </a>
    </li>
  );
});

/** A stream that only history knows: nothing to go to. `now` is the time its words are about. */
export const PastCard = memo(function PastCard({ stream, now }: { stream: StreamInfo; now: number }) {
  const lasted = Date.parse(stream.endedAt ?? '') - Date.parse(stream.startedAt);
  return (
    <li className="card card-ended card-faded" data-past={stream.streamId}>
      <div className="card-box">
        <span className="card-top">
          <PhaseLabel stream={stream} />
          {stream.peakParticipants !== undefined && stream.peakParticipants > 0 && (
            <span className="card-count" title="Most people at once">
              <Icon name="eye" />
              <span className="visually-hidden">Most people at once: </span>
              {stream.peakParticipants.toLocaleString('en')}
            </span>
          )}
        </span>
        <span className="card-title">{stream.title ?? stream.streamId}</span>
        <span className="card-foot muted">
          <When stream={stream} now={now} />
          {Number.isFinite(lasted) && <span>It was on for {durationText(lasted)}.</span>}
        </span>
      </div>
    </li>
  );
});

function PhaseLabel({ stream }: { stream: StreamInfo }) {
  switch (stream.phase) {
    case 'live':
      return <span className="live">LIVE</span>;
    case 'reconnecting':
      return <span className="card-phase">host away</span>;
    case 'waiting':
      return <span className="card-phase">waiting for the host</span>;
    case 'ended':
      return <span className="card-phase">ended</span>;
  }
}

function When({ stream, now }: { stream: StreamInfo; now: number }) {
  const began = stream.endedAt ?? stream.startedAt;
  const since = now - Date.parse(began);
  const text = {
    live: durationText(since),
    reconnecting: durationText(since),
    waiting: `opened ${agoText(since)}`,
    ended: `${agoText(since)}. ${endText(stream.endReason)}`,
  }[stream.phase];
  return (
    <time dateTime={began} title={exactText(began)}>
      {text}
    </time>
  );
}
