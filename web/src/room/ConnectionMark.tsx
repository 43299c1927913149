// How good our own connection is, as LiveKit measures it.

import { useConnectionQualityIndicator, useLocalParticipant } from '@livekit/components-react';
import { ConnectionQuality } from 'livekit-client';

const WORDS: Record<ConnectionQuality, string> = {
  [ConnectionQuality.Excellent]: 'Connection: very good',
  [ConnectionQuality.Good]: 'Connection: good',
  [ConnectionQuality.Poor]: 'Connection: weak',
  [ConnectionQuality.Lost]: 'Connection: lost',
  [ConnectionQuality.Unknown]: 'Connection: not measured yet',
};

const BARS: Record<ConnectionQuality, number> = {
  [ConnectionQuality.Excellent]: 3,
  [ConnectionQuality.Good]: 2,
  [ConnectionQuality.Poor]: 1,
  [ConnectionQuality.Lost]: 0,
  [ConnectionQuality.Unknown]: 0,
};

/** Three bars, and the words for those who do not see them. */
export function ConnectionMark() {
  const { localParticipant } = useLocalParticipant();
  const { quality } = useConnectionQualityIndicator({ participant: localParticipant });
  const words = WORDS[quality];
  return (
    <span className={`signal signal-${BARS[quality]}`} role="img" aria-label={words} title={words}>
      <i />
      <i />
      <i />
    </span>
  );
}
