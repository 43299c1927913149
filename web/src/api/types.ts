// What the API says, in the names of its schema. Only `src/api` and `src/feed`
// read the wire; everything else takes these.

/** Where a stream is in its life. */
export type Phase = 'waiting' | 'live' | 'reconnecting' | 'ended';

/** Why a stream ended. Newer servers may say something else. */
export type EndReason =
  | 'idle'
  | 'stopped'
  | 'max_duration'
  | 'publisher_left'
  | 'room_finished'
  | 'lost'
  | (string & {});

/** What a person may do. */
export type Role = 'host' | 'speaker' | 'viewer';

/** Everything the pages know of a stream: a summary of the lobby, or the fuller state of the room. */
export interface StreamInfo {
  streamId: string;
  title?: string | undefined;
  status: 'active' | 'finished';
  phase: Phase;
  participantCount: number;
  peakParticipants?: number | undefined;
  /** Connections of people, all told; shown in the host's summary. */
  totalJoins?: number | undefined;
  startedAt: string;
  endedAt?: string | undefined;
  endReason?: EndReason | undefined;
  /** When the phase began. */
  phaseSince?: string | undefined;
  /** When the phase ends by itself: how long a host may be away. */
  phaseUntil?: string | undefined;
  /** What someone becomes who joins without naming a role. */
  defaultRole?: Role | undefined;
  epoch: string;
  version: number;
}

/** `POST /streams/:id/join` answers this. */
export interface JoinAnswer {
  token: string;
  /** Where the media is, `ws:` or `wss:`. */
  url: string;
  room: string;
  identity: string;
  role: Role;
  expiresAt: string;
}

/** What a mute or an unmute is about. */
export type Source = 'camera' | 'microphone' | 'screen_share';
