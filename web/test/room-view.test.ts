import { describe, expect, it } from 'vitest';
import type { JoinAnswer } from '../src/api/types';
import { noStream, type StreamFeed } from '../src/feed/stream';
import type { Me, SessionState } from '../src/session/state';
import { viewRoom } from '../src/view/room';
import { aStream } from './make';

const NOW = 100_000;
const me: Me = { identity: 'ann', name: 'Ann', role: 'host' };
const answer = { token: 't' } as JoinAnswer;
const open: StreamFeed = { ...noStream, link: { is: 'open' }, info: aStream() };
const out: SessionState = { at: 'out', refusal: null };
const inside: SessionState = { at: 'in', me, answer };
const some = { published: 2, since: 0 };
const none = { published: 0, since: 0 };
const fresh = { published: 0, since: NOW };
const gone = (
  why: 'left' | 'removed' | 'replaced' | 'ended' | 'lost',
  startedAt: string | null = null,
): SessionState => ({
  at: 'gone',
  why,
  me,
  startedAt,
});
const phase = (change: Parameters<typeof aStream>[0]): StreamFeed => ({ ...open, info: aStream(change) });
const ended = phase({ phase: 'ended', status: 'finished' });

describe('the page before joining', () => {
  it('connects, says that the server is away, or that there is no such stream', () => {
    expect(viewRoom(noStream, out, none, NOW)).toEqual({ show: 'connecting' });
    expect(viewRoom({ ...noStream, link: { is: 'down', since: 7 } }, out, none, NOW)).toEqual({
      show: 'unreachable',
      since: 7,
    });
    expect(viewRoom({ ...noStream, missing: true }, out, none, NOW)).toEqual({ show: 'missing' });
  });
  it('is the door, with the reason when we were turned away', () => {
    expect(viewRoom(open, { at: 'out', refusal: 'full' }, none, NOW)).toEqual({
      show: 'prejoin',
      refusal: 'full',
      again: false,
    });
  });
  it('is the summary of an ended stream', () => {
    expect(viewRoom(ended, out, none, NOW)).toEqual({ show: 'ended', info: ended.info });
  });
});

describe('the stage', () => {
  const stage = (feed: StreamFeed, session: SessionState, media = some) =>
    viewRoom(feed, session, media, NOW);
  it('is connecting while we join, or come back after a reload', () => {
    expect(stage(open, { at: 'joining', since: 1, me })).toMatchObject({ stage: { is: 'connecting' } });
    const back: SessionState = { at: 'rejoining', since: 1, attempt: 0, me, answer: null };
    expect(stage(open, back)).toMatchObject({ stage: { is: 'connecting' } });
  });
  it('is reconnecting, since the loss, in both ways of it', () => {
    expect(stage(open, { at: 'resuming', since: 5, me, answer })).toMatchObject({
      stage: { is: 'reconnecting', since: 5 },
    });
    expect(stage(open, { at: 'rejoining', since: 6, attempt: 2, me, answer })).toMatchObject({
      stage: { is: 'reconnecting', since: 6 },
    });
  });
  it('is live, waiting, or away with the time left', () => {
    expect(stage(open, inside)).toMatchObject({ stage: { is: 'live' } });
    expect(stage(phase({ phase: 'waiting' }), inside, none)).toMatchObject({ stage: { is: 'waiting' } });
    const away = phase({
      phase: 'reconnecting',
      phaseSince: '1970-01-01T00:00:10.000Z',
      phaseUntil: '1970-01-01T00:01:10.000Z',
    });
    expect(stage(away, inside, none)).toMatchObject({ stage: { is: 'away', since: 10_000, until: 70_000 } });
    expect(stage(phase({ phase: 'reconnecting' }), inside, none)).toMatchObject({
      stage: { is: 'away', since: null, until: null },
    });
  });
  it('is catching up when server and media disagree for longer than a moment', () => {
    expect(stage(open, inside, none)).toMatchObject({ stage: { is: 'behind' } });
    expect(stage(open, inside, fresh)).toMatchObject({ stage: { is: 'live' } });
    expect(stage(phase({ phase: 'waiting' }), inside, some)).toMatchObject({ stage: { is: 'behind' } });
    expect(stage(phase({ phase: 'reconnecting' }), inside, some)).toMatchObject({ stage: { is: 'behind' } });
    expect(stage({ ...open, info: null }, inside, some)).toMatchObject({ stage: { is: 'behind' } });
  });
  it('says since when the server is away while the video goes on', () => {
    expect(stage({ ...open, link: { is: 'down', since: 42 } }, inside)).toMatchObject({
      show: 'stage',
      staleSince: 42,
      stage: { is: 'live' },
    });
  });
});

describe('after we are out', () => {
  it('tells left, removed, replaced and lost apart', () => {
    for (const why of ['left', 'removed', 'replaced', 'lost'] as const) {
      expect(viewRoom(open, gone(why), none, NOW)).toEqual({ show: 'gone', why });
    }
  });
  it('shows the end of the stream to whoever had left, not to whoever was removed', () => {
    expect(viewRoom(ended, gone('left'), none, NOW)).toMatchObject({ show: 'ended' });
    expect(viewRoom(ended, gone('removed'), none, NOW)).toMatchObject({ show: 'gone', why: 'removed' });
  });
  it('stays ended until another run of the stream begins', () => {
    const { startedAt } = aStream();
    expect(viewRoom(ended, gone('ended', startedAt), none, NOW)).toMatchObject({ show: 'ended' });
    expect(viewRoom(open, gone('ended', startedAt), none, NOW)).toMatchObject({ show: 'ended' });
    expect(
      viewRoom(phase({ phase: 'waiting', startedAt: 'later' }), gone('ended', startedAt), none, NOW),
    ).toEqual({
      show: 'prejoin',
      refusal: null,
      again: true,
    });
  });
});
