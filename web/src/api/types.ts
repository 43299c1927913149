// What the API says, out of the schema it publishes (`npm run api`). Only
// `src/api` and `src/feed` read the wire; everything else takes these.

import type {
  CreateStreamBody,
  JoinedStream,
  EndReason as KnownEndReason,
  PatchStreamBody,
  Phase,
  Role,
  StreamDetails,
  StreamState,
  TrackSource,
  Visibility,
} from './schema.gen';

export type { Phase, Role, Visibility };

/** `POST /streams/:id/join` answers this. */
export type JoinAnswer = JoinedStream;

/** What the pages say of a new stream. */
export type NewStream = Pick<CreateStreamBody, 'name' | 'title' | 'defaultRole' | 'visibility'>;

/** What a host can change of a stream. */
export type StreamChange = Pick<PatchStreamBody, 'title' | 'defaultRole'>;

/** Why a stream ended. Newer servers may say something else. */
export type EndReason = KnownEndReason | (string & {});

/** What a mute is about. */
export type Source = TrackSource;

/**
 * Everything the pages know of a stream: a summary of the lobby, the fuller state of the room, or
 * the head with its settings. What only some of them say is optional.
 */
export type StreamInfo = Pick<
  StreamState,
  | 'streamId'
  | 'title'
  | 'status'
  | 'phase'
  | 'participantCount'
  | 'startedAt'
  | 'endedAt'
  | 'epoch'
  | 'version'
> &
  Partial<Pick<StreamState, 'peakParticipants' | 'totalJoins' | 'phaseSince'>> &
  Partial<Pick<StreamDetails, 'defaultRole' | 'settingsTag'>> & {
    endReason?: EndReason;
    /** When the phase ends by itself, where the server says so: how long a host may be away. */
    phaseUntil?: string;
  };
