import { describe, expect, it } from 'vitest';
import type { FeedAction } from '../src/feed/action';
import { newer, noStream, reduceStream, type StreamFeed } from '../src/feed/stream';
import { aStream } from './make';

const event = (data: unknown, id: string | null = null): FeedAction => ({
  type: 'event',
  at: 5,
  event: 'message',
  data,
  id,
});
const follow = (...actions: FeedAction[]): StreamFeed => actions.reduce(reduceStream, noStream);

describe('what a page knows of its stream', () => {
  it('takes the first state and remembers its id', () => {
    const feed = follow({ type: 'open', at: 1 }, event(aStream(), 'aaaaaaaa-1'));
    expect(feed).toMatchObject({
      link: { is: 'open' },
      lastId: 'aaaaaaaa-1',
      info: { streamId: 'gold', version: 1 },
    });
  });

  it('drops a lower version of the same epoch', () => {
    const feed = follow(event(aStream({ version: 7 })), event(aStream({ version: 6, participantCount: 99 })));
    expect(feed.info?.version).toBe(7);
  });

  it('replaces everything when the epoch is another', () => {
    const feed = follow(event(aStream({ version: 7 })), event(aStream({ version: 1, epoch: 'bbbbbbbb' })));
    expect(feed.info).toMatchObject({ version: 1, epoch: 'bbbbbbbb' });
  });

  it('keeps the time at which the connection broke', () => {
    const feed = follow(
      { type: 'open', at: 1 },
      { type: 'down', at: 10, why: 'ended' },
      { type: 'down', at: 20, why: 'unreachable' },
    );
    expect(feed.link).toEqual({ is: 'down', since: 10 });
    expect(reduceStream(feed, { type: 'open', at: 30 }).link).toEqual({ is: 'open' });
  });

  it('keeps an ended stream when its record goes, and forgets another one', () => {
    const ended = follow(event(aStream({ phase: 'ended', status: 'finished' })), { type: 'missing', at: 9 });
    expect(ended).toMatchObject({ missing: false, info: { phase: 'ended' } });
    expect(follow({ type: 'missing', at: 9 }).missing).toBe(true);
  });

  it('is found when it comes into being', () => {
    const feed = follow({ type: 'missing', at: 1 }, { type: 'open', at: 2 }, event(aStream()));
    expect(feed).toMatchObject({ missing: false, info: { streamId: 'gold' } });
  });

  it('does not change for what is no stream', () => {
    const feed = follow(event(aStream()));
    expect(reduceStream(feed, event('nonsense'))).toBe(feed);
    expect(reduceStream(feed, event({ streamId: 'gold' }))).toBe(feed);
  });

  it('answers the same state again when nothing is new', () => {
    const had = aStream({ version: 3 });
    expect(newer(had, aStream({ version: 3 }))).toBe(had);
  });
});
