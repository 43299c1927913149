import { describe, expect, it } from 'vitest';
import type { JoinAnswer } from '../src/api/types';
import {
  afterDisconnect,
  COME_BACK_MS,
  comeBackDelay,
  type Me,
  outside,
  reduceSession,
  refusalOf,
  type SessionAction,
  type SessionState,
} from '../src/session/state';

const me: Me = { identity: 'ann-1234', name: 'Ann', role: 'host' };
const answer: JoinAnswer = {
  token: 't',
  url: 'ws://x',
  room: 'gold',
  identity: 'ann-1234',
  role: 'host',
  expiresAt: '',
};
const follow = (...actions: SessionAction[]): SessionState => actions.reduce(reduceSession, outside);
const inside = follow({ type: 'join', now: 1, me }, { type: 'connected', answer });

describe('our place in a stream', () => {
  it('goes from outside over joining to in', () => {
    expect(follow({ type: 'join', now: 1, me })).toEqual({ at: 'joining', since: 1, me });
    expect(inside).toEqual({ at: 'in', me, answer });
  });

  it('takes the role that the server gave', () => {
    const state = follow(
      { type: 'join', now: 1, me },
      { type: 'connected', answer: { ...answer, role: 'viewer' } },
    );
    expect(state).toMatchObject({ me: { role: 'viewer' } });
  });

  it('goes out with the reason when the join is refused', () => {
    expect(follow({ type: 'join', now: 1, me }, { type: 'refused', refusal: 'full' })).toEqual({
      at: 'out',
      refusal: 'full',
    });
  });

  it('counts a loss from its beginning through both kinds of coming back', () => {
    const resuming = reduceSession(inside, { type: 'resuming', now: 100 });
    const rejoining = reduceSession(resuming, { type: 'rejoin', now: 900, attempt: 0 });
    expect(rejoining).toMatchObject({ at: 'rejoining', since: 100, attempt: 0 });
    expect(reduceSession(rejoining, { type: 'rejoin', now: 2_000, attempt: 3 })).toMatchObject({
      since: 100,
      attempt: 3,
    });
    expect(reduceSession(rejoining, { type: 'connected', answer })).toMatchObject({ at: 'in' });
  });

  it('is in again when the media client mended it', () => {
    const resuming = reduceSession(inside, { type: 'resuming', now: 100 });
    expect(reduceSession(resuming, { type: 'resumed' })).toEqual(inside);
  });

  it('ignores what makes no sense where we are', () => {
    expect(reduceSession(outside, { type: 'resuming', now: 1 })).toBe(outside);
    expect(reduceSession(outside, { type: 'rejoin', now: 1, attempt: 0 })).toBe(outside);
    expect(reduceSession(inside, { type: 'resumed' })).toBe(inside);
    const gone = reduceSession(inside, { type: 'gone', why: 'left', startedAt: null });
    expect(reduceSession(gone, { type: 'connected', answer })).toBe(gone);
    expect(reduceSession(gone, { type: 'role', role: 'viewer' })).toBe(gone);
  });

  it('remembers who we were when we are gone', () => {
    expect(reduceSession(inside, { type: 'gone', why: 'ended', startedAt: 'x' })).toEqual({
      at: 'gone',
      why: 'ended',
      me,
      startedAt: 'x',
    });
  });
});

describe('what follows a disconnect', () => {
  it('is the end when somebody wanted it', () => {
    for (const cause of ['left', 'removed', 'replaced'] as const)
      expect(afterDisconnect(cause, false)).toBe(cause);
  });
  it('is coming back while the stream is active', () => {
    expect(afterDisconnect('broken', false)).toBe('rejoin');
    expect(afterDisconnect('closed', false)).toBe('rejoin');
  });
  it('is the end when the stream has ended', () => {
    expect(afterDisconnect('broken', true)).toBe('ended');
    expect(afterDisconnect('closed', true)).toBe('ended');
  });
});

describe('coming back', () => {
  it('waits longer each time, and no longer than a minute in all', () => {
    expect(comeBackDelay(0, 0, 1)).toBe(300);
    expect(comeBackDelay(1, 0, 1)).toBe(500);
    expect(comeBackDelay(4, 0, 1)).toBe(4_000);
    expect(comeBackDelay(20, 0, 1)).toBe(8_000);
    expect(comeBackDelay(20, COME_BACK_MS - 100, 1)).toBe(100);
    expect(comeBackDelay(2, COME_BACK_MS, 0)).toBeNull();
  });

  it('tries often within the minute, whatever the chance', () => {
    for (const random of [0, 0.5, 1]) {
      let elapsed = 0;
      let attempt = 0;
      for (;;) {
        const delay = comeBackDelay(attempt, elapsed, random);
        if (delay === null) break;
        elapsed += Math.max(delay, 1);
        attempt += 1;
      }
      expect(attempt).toBeGreaterThan(8);
    }
  });
});

describe('a refused join', () => {
  it('is understood by kind and code', () => {
    expect(refusalOf('unauthorized', 'unauthorized')).toBe('key');
    expect(refusalOf('forbidden', 'forbidden')).toBe('forbidden');
    expect(refusalOf('forbidden', 'stream_full')).toBe('full');
    expect(refusalOf('conflict', 'stream_finished')).toBe('ended');
    expect(refusalOf('conflict', 'duplicate_identity')).toBe('taken');
    expect(refusalOf('missing', 'stream_not_found')).toBe('missing');
    expect(refusalOf('unavailable', 'draining')).toBe('passing');
    expect(refusalOf('unreachable', '')).toBe('passing');
    expect(refusalOf('invalid', '')).toBe('failed');
  });
});
