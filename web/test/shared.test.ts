// The shared event stream, with locks, channel and network made up.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { FeedAction } from '../src/feed/action';
import { openFeed } from '../src/feed/shared';

const EVENT = { type: 'event', event: 'message', id: '1' } as const;

/** One source per connection, driven by the test. */
const sources: { report: (action: FeedAction) => void; signal: AbortSignal; alive?: () => void }[] = [];

vi.mock('../src/feed/source', () => ({
  runSource: (options: { report: (action: FeedAction) => void; alive?: () => void }, signal: AbortSignal) => {
    sources.push({
      report: options.report,
      signal,
      ...(options.alive === undefined ? {} : { alive: options.alive }),
    });
    return new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
  },
}));

class FakeChannel {
  static all = new Set<FakeChannel>();
  onmessage: ((event: { data: unknown }) => void) | null = null;
  constructor(readonly name: string) {
    FakeChannel.all.add(this);
  }
  postMessage(data: unknown) {
    for (const other of FakeChannel.all) {
      if (other !== this && other.name === this.name) other.onmessage?.({ data: structuredClone(data) });
    }
  }
  close() {
    FakeChannel.all.delete(this);
  }
}

/** Grants a lock to one at a time, in order. */
function fakeLocks() {
  const queue: (() => void)[] = [];
  let held = false;
  const next = () => {
    const start = queue.shift();
    held = start !== undefined;
    start?.();
  };
  return {
    request: (_: string, options: { signal: AbortSignal }, work: () => Promise<void>) =>
      new Promise<void>((resolve, reject) => {
        const start = () => {
          void work().then(resolve).finally(next);
        };
        options.signal.addEventListener('abort', () => {
          const at = queue.indexOf(start);
          if (at < 0) return;
          queue.splice(at, 1);
          reject(new DOMException('', 'AbortError'));
        });
        if (held) queue.push(start);
        else {
          held = true;
          start();
        }
      }),
  };
}

const open = () =>
  openFeed<readonly string[]>({
    path: '/sse/x',
    initial: [],
    reduce: (state, action) => [...state, action.type === 'event' ? String(action.data) : action.type],
    lastId: (state) => state.at(-1) ?? null,
  });

const settle = () => vi.advanceTimersByTimeAsync(1);

beforeEach(() => {
  vi.useFakeTimers();
  sources.length = 0;
  FakeChannel.all.clear();
  vi.stubGlobal('BroadcastChannel', FakeChannel);
  vi.stubGlobal('isSecureContext', true);
  Object.defineProperty(navigator, 'locks', { value: fakeLocks(), configurable: true });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('tabs on the same stream', () => {
  it('share one connection, and a late one gets the whole state', async () => {
    const first = open();
    await settle();
    sources[0]?.report({ ...EVENT, at: 1, data: 'a' });
    const second = open();
    await settle();
    sources[0]?.report({ ...EVENT, at: 2, data: 'b' });
    expect(sources).toHaveLength(1);
    expect(first.get()).toEqual(['a', 'b']);
    expect(second.get()).toEqual(['a', 'b']);
  });

  it('pass the lead on when the leader goes', async () => {
    const first = open();
    const second = open();
    const third = open();
    await settle();
    sources[0]?.report({ ...EVENT, at: 1, data: 'a' });
    first.close();
    await settle();
    expect(sources).toHaveLength(2);
    expect(sources[0]?.signal.aborted).toBe(true);
    sources[1]?.report({ ...EVENT, at: 2, data: 'b' });
    expect(second.get()).toEqual(['a', 'b']);
    expect(third.get()).toEqual(['a', 'b']);
  });

  it('do not wait for ever for a leader that fell silent', async () => {
    open();
    const second = open();
    await settle();
    sources[0]?.alive?.();
    await vi.advanceTimersByTimeAsync(59_000);
    expect(sources).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(sources).toHaveLength(2);
    sources[1]?.report({ ...EVENT, at: 1, data: 'own' });
    expect(second.get()).toEqual(['own']);
    // The leader is heard again: the second connection is given up.
    sources[0]?.alive?.();
    expect(sources[1]?.signal.aborted).toBe(true);
  });

  it('connect by themselves where there are no locks', async () => {
    vi.stubGlobal('isSecureContext', false);
    open();
    open();
    await settle();
    expect(sources).toHaveLength(2);
  });
});
