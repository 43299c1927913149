// LiveKit's reasons for a disconnect, in our words. Pure.

import { DisconnectReason } from 'livekit-client';
import type { Cause } from './state';

/** What a disconnect means. Whatever is not clearly final counts as broken: we come back. */
export function causeOf(reason: DisconnectReason | undefined): Cause {
  switch (reason) {
    case DisconnectReason.CLIENT_INITIATED:
      return 'left';
    case DisconnectReason.PARTICIPANT_REMOVED:
      return 'removed';
    case DisconnectReason.DUPLICATE_IDENTITY:
      return 'replaced';
    case DisconnectReason.ROOM_DELETED:
    case DisconnectReason.ROOM_CLOSED:
      return 'closed';
    default:
      return 'broken';
  }
}
