import { describe, expect, it } from 'vitest';
import type { FeedAction } from '../src/feed/action';
import { inOrder, type LobbyFeed, matching, noStreams, reduceLobby } from '../src/feed/lobby';
import { aStream } from './make';

const event = (name: string, data: unknown): FeedAction => ({
  type: 'event',
  at: 1,
  event: name,
  data,
  id: null,
});
const follow = (...actions: FeedAction[]): LobbyFeed => actions.reduce(reduceLobby, noStreams);
const ids = (feed: LobbyFeed) => [...feed.streams.keys()].sort();

const two = event('snapshot', { streams: [aStream(), aStream({ streamId: 'silver' })], total: 2 });

describe('the list of streams', () => {
  it('starts with a snapshot', () => {
    const feed = follow(two);
    expect(ids(feed)).toEqual(['gold', 'silver']);
    expect(feed).toMatchObject({ loaded: true, total: 2, link: { is: 'open' } });
  });

  it('replaces the list at every snapshot', () => {
    const feed = follow(two, event('snapshot', { streams: [aStream({ streamId: 'bronze' })], total: 1 }));
    expect(ids(feed)).toEqual(['bronze']);
  });

  it('adds, changes and removes', () => {
    const feed = follow(
      two,
      event('upsert', aStream({ streamId: 'bronze' })),
      event('upsert', aStream({ participantCount: 9, version: 2 })),
      event('remove', { streamId: 'silver' }),
    );
    expect(ids(feed)).toEqual(['bronze', 'gold']);
    expect(feed.streams.get('gold')?.participantCount).toBe(9);
    expect(feed.total).toBe(2);
  });

  it('drops what is older than what it has', () => {
    const feed = follow(event('upsert', aStream({ version: 5 })));
    expect(reduceLobby(feed, event('upsert', aStream({ version: 4 })))).toBe(feed);
    expect(
      reduceLobby(feed, event('upsert', aStream({ version: 1, epoch: 'bbbbbbbb' }))).streams.get('gold')
        ?.version,
    ).toBe(1);
  });

  it('does not change for what it does not know', () => {
    const feed = follow(two);
    expect(reduceLobby(feed, event('remove', { streamId: 'nobody' }))).toBe(feed);
    expect(reduceLobby(feed, event('remove', null))).toBe(feed);
    expect(reduceLobby(feed, event('news', {}))).toBe(feed);
  });

  it('keeps the list, and says as of when, while the connection is away', () => {
    const feed = follow(two, { type: 'down', at: 77, why: 'unreachable' });
    expect(feed.link).toEqual({ is: 'down', since: 77 });
    expect(feed.streams.size).toBe(2);
  });

  it('does not grow without bound', () => {
    let feed = follow(two);
    for (let n = 0; n < 1_500; n += 1)
      feed = reduceLobby(feed, event('upsert', aStream({ streamId: `s${n}` })));
    expect(feed.streams.size).toBe(1_000);
    expect(feed.total).toBe(1_502);
  });
});

describe('the order of the lobby', () => {
  it('is live, waiting, ended, the newest first', () => {
    const at = (minute: number) => `2026-11-23T10:${String(minute).padStart(2, '0')}:00.000Z`;
    const list = inOrder([
      aStream({ streamId: 'ended-early', phase: 'ended', startedAt: at(9), endedAt: at(10) }),
      aStream({ streamId: 'waiting', phase: 'waiting', startedAt: at(30) }),
      aStream({ streamId: 'live-old', startedAt: at(1) }),
      aStream({ streamId: 'ended-late', phase: 'ended', startedAt: at(1), endedAt: at(20) }),
      aStream({ streamId: 'away', phase: 'reconnecting', startedAt: at(3) }),
      aStream({ streamId: 'live-new', startedAt: at(5) }),
    ]);
    expect(list.map(({ streamId }) => streamId)).toEqual([
      'live-new',
      'away',
      'live-old',
      'waiting',
      'ended-late',
      'ended-early',
    ]);
  });
});

describe('the search', () => {
  const list = [aStream({ title: 'Friday Demo' }), aStream({ streamId: 'stand-up' })];
  it('finds every word in title or id, whatever the case', () => {
    expect(matching(list, 'demo FRI')).toEqual([list[0]]);
    expect(matching(list, 'gold')).toEqual([list[0]]);
    expect(matching(list, 'demo stand')).toEqual([]);
    expect(matching(list, '  ')).toBe(list);
  });
});
