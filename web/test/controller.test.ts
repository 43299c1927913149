// Coming back: the connection to a stream, with LiveKit's connection and the
// network made up.

import { ConnectionError, DisconnectReason, RoomEvent } from 'livekit-client';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { StreamInfo } from '../src/api/types';
import { noStream, type StreamFeed } from '../src/feed/stream';
import { createStore } from '../src/lib/store';
import { RoomSession } from '../src/session/controller';
import { recallPlace } from '../src/session/identity';
import type { Me } from '../src/session/state';
import { aStream } from './make';

const me: Me = { identity: 'bob-1234', name: 'Bob', role: 'viewer' };

/** What the server answers to `/join`, one after the other; the last one again and again. */
let answers: { status: number; body?: unknown }[] = [];
let asked: { url: string; method: string; auth: string | null; body: Record<string, unknown> }[] = [];

const joined = (n: number) => ({
  status: 200,
  body: {
    token: `token-${n}`,
    url: 'ws://media',
    room: 'gold',
    identity: me.identity,
    role: 'viewer',
    expiresAt: '',
  },
});

function setUp(info: Partial<StreamInfo> = {}) {
  const first: StreamFeed = { ...noStream, link: { is: 'open' }, info: aStream(info) };
  const feed = createStore((_: StreamFeed, next: StreamFeed) => next, first);
  const session = new RoomSession('gold', feed);
  const connect = vi.spyOn(session.room, 'connect').mockImplementation(async () => {
    session.room.emit(RoomEvent.Connected);
  });
  vi.spyOn(session.room, 'disconnect').mockResolvedValue();
  const drop = (reason: DisconnectReason) => session.room.emit(RoomEvent.Disconnected, reason);
  return { session, feed, connect, drop };
}

beforeEach(() => {
  vi.useFakeTimers();
  answers = [joined(1), joined(2)];
  asked = [];
  vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
    const headers = init.headers as Record<string, string>;
    const body = JSON.parse((init.body as string | undefined) ?? '{}') as Record<string, unknown>;
    asked.push({ url, method: init.method ?? 'GET', auth: headers.Authorization ?? null, body });
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    return new Response(JSON.stringify(answer?.body ?? {}), { status: answer?.status ?? 500 });
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('a session', () => {
  it('joins, and remembers its place for a reload', async () => {
    const { session, connect } = setUp();
    await session.join(me, null);
    expect(session.state.get()).toMatchObject({ at: 'in', me: { identity: 'bob-1234' } });
    expect(connect).toHaveBeenCalledExactlyOnceWith('ws://media', 'token-1');
    expect(asked[0]).toMatchObject({
      url: '/streams/gold/join',
      auth: null,
      body: { userId: 'bob-1234', role: 'viewer', onDuplicate: 'replace' },
    });
    expect(recallPlace('gold')).toMatchObject({ identity: 'bob-1234', token: 'token-1', inside: true });
  });

  it('is told why it may not join', async () => {
    answers = [{ status: 403, body: { code: 'stream_full' } }];
    const { session } = setUp();
    await session.join(me, null);
    expect(session.state.get()).toEqual({ at: 'out', refusal: 'full' });
  });

  it('comes back through join when the media server goes away, its token as proof', async () => {
    const { session, drop, connect } = setUp();
    await session.join(me, null);
    drop(DisconnectReason.SERVER_SHUTDOWN);
    expect(session.state.get()).toMatchObject({ at: 'rejoining' });
    await vi.advanceTimersByTimeAsync(400);
    expect(session.state.get()).toMatchObject({ at: 'in', answer: { token: 'token-2' } });
    expect(asked[1]?.auth).toBe('Bearer token-1');
    expect(connect).toHaveBeenCalledTimes(2);
  });

  it('goes on trying for a minute, then says that it is lost', async () => {
    const { session, drop, connect } = setUp();
    await session.join(me, null);
    connect.mockRejectedValue(ConnectionError.serverUnreachable('no'));
    drop(DisconnectReason.SIGNAL_CLOSE);
    await vi.advanceTimersByTimeAsync(55_000);
    expect(session.state.get().at).toBe('rejoining');
    expect(connect.mock.calls.length).toBeGreaterThan(6);
    await vi.advanceTimersByTimeAsync(15_000);
    expect(session.state.get()).toMatchObject({ at: 'gone', why: 'lost' });
    expect(recallPlace('gold')).toBeNull();
  });

  it('does not come back when it was removed or replaced', async () => {
    for (const [reason, why] of [
      [DisconnectReason.PARTICIPANT_REMOVED, 'removed'],
      [DisconnectReason.DUPLICATE_IDENTITY, 'replaced'],
    ] as const) {
      const { session, drop } = setUp();
      await session.join(me, null);
      const before = asked.length;
      drop(reason);
      await vi.advanceTimersByTimeAsync(5_000);
      expect(session.state.get()).toMatchObject({ at: 'gone', why });
      expect(asked.length).toBe(before);
    }
  });

  it('is ended when the server says so, before or after the media', async () => {
    const { session, feed } = setUp();
    await session.join(me, null);
    feed.dispatch({ ...feed.get(), info: aStream({ phase: 'ended', version: 9 }) });
    expect(session.state.get()).toMatchObject({ at: 'gone', why: 'ended' });

    const other = setUp();
    answers = [joined(3), { status: 409, body: { code: 'stream_finished' } }];
    await other.session.join(me, null);
    other.drop(DisconnectReason.ROOM_DELETED);
    await vi.advanceTimersByTimeAsync(400);
    expect(other.session.state.get()).toMatchObject({ at: 'gone', why: 'ended' });
  });

  it('asks without a role when its key is not enough any more', async () => {
    answers = [{ status: 403, body: { code: 'forbidden' } }, joined(2)];
    const { session } = setUp();
    void session.comeBack({ ...me, role: 'speaker' }, 'token-0', { camera: false, microphone: false });
    await vi.advanceTimersByTimeAsync(400);
    expect(asked.map(({ body }) => body.role ?? null)).toEqual(['speaker', null]);
    expect(session.state.get()).toMatchObject({ at: 'in', me: { role: 'viewer' } });
  });

  it('leaves at once, and tells the server where the media connection cannot', async () => {
    const { session, drop } = setUp();
    await session.join(me, null);
    drop(DisconnectReason.SIGNAL_CLOSE);
    answers = [{ status: 204 }];
    await session.leave();
    expect(session.state.get()).toMatchObject({ at: 'gone', why: 'left' });
    expect(asked.at(-1)).toMatchObject({
      url: '/streams/gold/leave',
      auth: 'Bearer token-1',
      body: { userId: 'bob-1234' },
    });
    const before = asked.length;
    await vi.advanceTimersByTimeAsync(20_000);
    expect(asked.length).toBe(before);
  });
});
