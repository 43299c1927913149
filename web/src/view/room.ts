// What a room page shows: the server's state and our own place, put together.
// Pure; every state of the page is told apart here and nowhere else.

import type { StreamInfo } from '../api/types';
import type { StreamFeed } from '../feed/stream';
import type { Gone, Refusal, SessionState } from '../session/state';

/** Media and server may disagree for so long before the page says "catching up". */
const TOLERATED_MS = 1_500;

/** The whole page. */
export type RoomView =
  | { show: 'connecting' }
  | { show: 'unreachable'; since: number }
  | { show: 'missing' }
  | { show: 'prejoin'; refusal: Refusal | null; again: boolean }
  | { show: 'ended'; info: StreamInfo | null }
  | { show: 'gone'; why: Exclude<Gone, 'ended'> }
  | { show: 'stage'; stage: Stage; staleSince: number | null };

/** What goes on where the video is. */
export type Stage =
  | { is: 'connecting' }
  /** Our own connection is being mended. */
  | { is: 'reconnecting'; since: number }
  | { is: 'waiting' }
  | { is: 'live' }
  /** The host's connection is away; `until` is when the server stops waiting. */
  | { is: 'away'; since: number | null; until: number | null }
  /** Server and media do not agree yet. */
  | { is: 'behind' };

/** What the media connection shows. */
export interface MediaFacts {
  /** Tracks published in the room, our own included. */
  published: number;
  /** When that last changed between none and some, or the connection was made. */
  since: number;
}

/** What to show now. */
export function viewRoom(feed: StreamFeed, session: SessionState, media: MediaFacts, now: number): RoomView {
  if (session.at === 'gone') return viewGone(feed, session);
  if (session.at !== 'out') {
    const staleSince = feed.link.is === 'down' ? feed.link.since : null;
    return { show: 'stage', stage: viewStage(feed.info, session, media, now), staleSince };
  }
  if (feed.missing) return { show: 'missing' };
  if (feed.info?.phase === 'ended') return { show: 'ended', info: feed.info };
  if (feed.info !== null) return { show: 'prejoin', refusal: session.refusal, again: false };
  return feed.link.is === 'down' ? { show: 'unreachable', since: feed.link.since } : { show: 'connecting' };
}

function viewGone(feed: StreamFeed, session: Extract<SessionState, { at: 'gone' }>): RoomView {
  if (session.why !== 'ended') {
    if (feed.info?.phase === 'ended' && session.why !== 'removed') return { show: 'ended', info: feed.info };
    return { show: 'gone', why: session.why };
  }
  const { info } = feed;
  const again = info !== null && info.phase !== 'ended' && info.startedAt !== session.startedAt;
  return again ? { show: 'prejoin', refusal: null, again: true } : { show: 'ended', info };
}

function viewStage(info: StreamInfo | null, session: SessionState, media: MediaFacts, now: number): Stage {
  if (session.at === 'joining') return { is: 'connecting' };
  if (session.at === 'rejoining' && session.answer === null && session.attempt === 0)
    return { is: 'connecting' };
  if (session.at === 'rejoining' || session.at === 'resuming')
    return { is: 'reconnecting', since: session.since };
  if (info === null) return { is: 'behind' };
  const settled = now - media.since > TOLERATED_MS;
  const someone = media.published > 0;
  switch (info.phase) {
    case 'live':
      return !someone && settled ? { is: 'behind' } : { is: 'live' };
    case 'waiting':
      if (someone) return settled ? { is: 'behind' } : { is: 'live' };
      return { is: 'waiting' };
    case 'reconnecting':
      if (someone) return settled ? { is: 'behind' } : { is: 'live' };
      return { is: 'away', since: at(info.phaseSince), until: at(info.phaseUntil) };
    case 'ended':
      return { is: 'behind' };
  }
}

function at(iso: string | undefined): number | null {
  const ms = Date.parse(iso ?? '');
  return Number.isNaN(ms) ? null : ms;
}
