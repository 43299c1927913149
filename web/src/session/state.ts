// Our own place in a stream: outside, joining, in, coming back, gone. Pure;
// the connection itself is in `controller.ts`.

import type { ErrorKind } from '../api/error';
import type { JoinAnswer, Role } from '../api/types';

/** Why we are out for good, until somebody presses a button. */
export type Gone = 'left' | 'removed' | 'replaced' | 'ended' | 'lost';

/** Why a join was refused. */
export type Refusal =
  | 'key'
  | 'forbidden'
  | 'full'
  | 'taken'
  | 'banned'
  | 'missing'
  | 'ended'
  | 'passing'
  | 'media'
  | 'failed';

/** Who we are in the stream. */
export interface Me {
  identity: string;
  name: string;
  role: Role;
}

/** Our place in the stream. Times are the page's clock, milliseconds. */
export type SessionState =
  | { at: 'out'; refusal: Refusal | null }
  | { at: 'joining'; since: number; me: Me }
  | { at: 'in'; me: Me; answer: JoinAnswer }
  /** The media client is mending its connection by itself. */
  | { at: 'resuming'; since: number; me: Me; answer: JoinAnswer }
  /** The media connection is lost; we ask the server for a new token. */
  | { at: 'rejoining'; since: number; attempt: number; me: Me; answer: JoinAnswer | null }
  /** `startedAt` names the run of the stream we were in. */
  | { at: 'gone'; why: Gone; me: Me | null; startedAt: string | null };

/** What happens to our place. */
export type SessionAction =
  | { type: 'join'; now: number; me: Me }
  | { type: 'come-back'; now: number; me: Me }
  | { type: 'connected'; answer: JoinAnswer }
  | { type: 'refused'; refusal: Refusal }
  | { type: 'resuming'; now: number }
  | { type: 'resumed' }
  | { type: 'rejoin'; now: number; attempt: number }
  | { type: 'role'; role: Role }
  | { type: 'gone'; why: Gone; startedAt: string | null }
  | { type: 'reset' };

/** Before anything. */
export const outside: SessionState = { at: 'out', refusal: null };

/** The next place. An action that makes no sense where we are changes nothing. */
export function reduceSession(state: SessionState, action: SessionAction): SessionState {
  switch (action.type) {
    case 'join':
      return { at: 'joining', since: action.now, me: action.me };
    case 'come-back':
      return { at: 'rejoining', since: action.now, attempt: 0, me: action.me, answer: null };
    case 'connected': {
      const me = meOf(state);
      if (me === null || state.at === 'gone') return state;
      return {
        at: 'in',
        answer: action.answer,
        me: { ...me, identity: action.answer.identity, role: action.answer.role },
      };
    }
    case 'refused':
      return { at: 'out', refusal: action.refusal };
    case 'resuming':
      return state.at === 'in' ? { ...state, at: 'resuming', since: action.now } : state;
    case 'resumed':
      return state.at === 'resuming' ? { at: 'in', me: state.me, answer: state.answer } : state;
    case 'rejoin':
      return rejoin(state, action.now, action.attempt);
    case 'role':
      if (state.at === 'out' || state.at === 'gone' || state.me.role === action.role) return state;
      return { ...state, me: { ...state.me, role: action.role } };
    case 'gone':
      return { at: 'gone', why: action.why, me: meOf(state), startedAt: action.startedAt };
    case 'reset':
      return outside;
  }
}

/** Who we are, where we are somebody. */
export function meOf(state: SessionState): Me | null {
  return state.at === 'out' ? null : state.me;
}

/** The newest join answer, where there is one. */
export function answerOf(state: SessionState): JoinAnswer | null {
  return 'answer' in state ? state.answer : null;
}

/** Counting goes on from the first loss, however many tries follow. */
function rejoin(state: SessionState, now: number, attempt: number): SessionState {
  if (state.at === 'rejoining') return { ...state, attempt };
  if (state.at !== 'in' && state.at !== 'resuming') return state;
  const since = state.at === 'resuming' ? state.since : now;
  return { at: 'rejoining', since, attempt, me: state.me, answer: state.answer };
}

/** Why the media connection is over, in our words rather than LiveKit's. */
export type Cause = 'left' | 'removed' | 'replaced' | 'closed' | 'broken';

/** What follows: the end, or coming back through `/join`. */
export function afterDisconnect(cause: Cause, ended: boolean): Gone | 'rejoin' {
  if (cause === 'left' || cause === 'removed' || cause === 'replaced') return cause;
  return ended ? 'ended' : 'rejoin';
}

/** What a refused join means. `code` is the problem document's. */
export function refusalOf(kind: ErrorKind, code: string): Refusal {
  switch (kind) {
    case 'unauthorized':
      return 'key';
    case 'forbidden':
      if (code === 'banned') return 'banned';
      return code.includes('full') ? 'full' : 'forbidden';
    case 'missing':
      return 'missing';
    case 'conflict':
      return code.includes('duplicate') || code.includes('identity') ? 'taken' : 'ended';
    case 'unreachable':
    case 'unavailable':
    case 'limited':
      return 'passing';
    default:
      return 'failed';
  }
}

/** How long we try to come back. */
export const COME_BACK_MS = 60_000;

/** How long to wait before the next try, `null` when the time is over. `random` is in 0..1. */
export function comeBackDelay(attempt: number, elapsed: number, random: number): number | null {
  if (elapsed >= COME_BACK_MS) return null;
  if (attempt === 0) return Math.round(300 * random);
  const step = Math.min(8_000, 500 * 2 ** Math.min(attempt - 1, 8));
  return Math.min(Math.round(step * (0.5 + random / 2)), Math.max(0, COME_BACK_MS - elapsed));
}
