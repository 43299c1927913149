// The heading of the door: which stream, and how it is.

import type { StreamInfo } from '../api/types';
import { useNow } from '../lib/clock';
import { agoText, clockText, exactText, watchingText } from '../view/words';

/** Title and state of the stream one is about to join. */
export function DoorHead({ title, info }: { title: string; info: StreamInfo | null }) {
  const now = useNow(1_000);
  return (
    <header className="door-head">
      <h1>{title}</h1>
      {info !== null && (
        <p className="muted" title={exactText(info.startedAt)}>
          {info.phase === 'live' && (
            <span className="live">LIVE {clockText(now - Date.parse(info.startedAt))}</span>
          )}
          {info.phase === 'waiting' &&
            `Waiting for the host · opened ${agoText(now - Date.parse(info.startedAt))}`}
          {info.phase === 'reconnecting' && 'The host is away'}
          <span> · {watchingText(info.participantCount)}</span>
        </p>
      )}
    </header>
  );
}
