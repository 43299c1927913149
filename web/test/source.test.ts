// The connection that makes itself again, over a made-up network.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { FeedAction } from '../src/feed/action';
import { runSource } from '../src/feed/source';

type Answer = (signal: AbortSignal) => Response | Promise<Response>;

let answers: Answer[] = [];
let asked: (string | null)[] = [];
let actions: FeedAction[] = [];
let stop = new AbortController();

function stream(...pieces: string[]): () => Response {
  return () =>
    new Response(pieces.join(''), { status: 200, headers: { 'content-type': 'text/event-stream' } });
}

/** Stays open after its piece, until it is aborted. */
function hanging(piece: string): Answer {
  return (signal) => {
    const body = new ReadableStream({
      start(out) {
        out.enqueue(new TextEncoder().encode(piece));
        signal.addEventListener('abort', () => out.error(signal.reason));
      },
    });
    return new Response(body, { status: 200 });
  };
}

const status =
  (code: number, headers: Record<string, string> = {}) =>
  () =>
    new Response('', { status: code, headers });
const types = () => actions.map(({ type }) => type);

beforeEach(() => {
  vi.useFakeTimers();
  answers = [];
  asked = [];
  actions = [];
  stop = new AbortController();
  vi.stubGlobal(
    'fetch',
    async (_: string, init: { headers: Record<string, string>; signal: AbortSignal }) => {
      asked.push(init.headers['Last-Event-ID'] ?? null);
      return (answers.shift() ?? (() => new Promise<Response>(() => undefined)))(init.signal);
    },
  );
});

afterEach(() => {
  stop.abort();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

let lastId: string | null = null;
function run(): void {
  lastId = null;
  void runSource(
    {
      path: '/sse/x',
      lastId: () => lastId,
      report: (action) => {
        actions.push(action);
        if (action.type === 'event') lastId = action.id;
      },
    },
    stop.signal,
  );
}

describe('a source', () => {
  it('reports events and resumes after the end with the last id', async () => {
    answers = [stream('id: e-1\ndata: {"a":1}\n\ndata: not json\n\n'), hanging(': connected\n\n')];
    run();
    await vi.advanceTimersByTimeAsync(100);
    expect(types()).toEqual(['open', 'event', 'down']);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(types()).toEqual(['open', 'event', 'down', 'open']);
    expect(asked).toEqual([null, 'e-1']);
  });

  it('tells a missing stream from an unavailable and an unreachable server', async () => {
    answers = [
      status(503, { 'retry-after': '3' }),
      status(404),
      () => Promise.reject(new TypeError('network')),
    ];
    run();
    await vi.advanceTimersByTimeAsync(2_900);
    expect(actions).toMatchObject([{ type: 'down', why: 'unavailable' }]);
    await vi.advanceTimersByTimeAsync(300);
    expect(types()).toEqual(['down', 'missing']);
    await vi.advanceTimersByTimeAsync(11_000);
    expect(actions[2]).toMatchObject({ type: 'down', why: 'unreachable' });
  });

  it('gives a silent connection up', async () => {
    answers = [hanging('data: 1\n\n'), hanging('data: 2\n\n')];
    run();
    await vi.advanceTimersByTimeAsync(49_000);
    expect(types()).toEqual(['open', 'event']);
    await vi.advanceTimersByTimeAsync(4_000);
    expect(types()).toEqual(['open', 'event', 'down', 'open', 'event']);
  });

  it('waits as long as the server asks with retry', async () => {
    answers = [stream('retry: 8000\ndata: 1\n\n'), hanging(':\n\n')];
    run();
    await vi.advanceTimersByTimeAsync(3_500);
    expect(asked).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(asked).toHaveLength(2);
  });

  it('stops when it is told to', async () => {
    answers = [hanging('data: 1\n\n')];
    run();
    await vi.advanceTimersByTimeAsync(10);
    stop.abort();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(types()).toEqual(['open', 'event']);
    expect(asked).toHaveLength(1);
  });
});
