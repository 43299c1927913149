import { describe, expect, it } from 'vitest';
import { decodeStream } from '../src/api/decode';
import { ApiError, explain, kindOf } from '../src/api/error';
import { passesIn } from '../src/lib/passes';
import { backOff } from '../src/lib/wait';
import { addressOf, embedCode, watchLink } from '../src/room/address';
import { handOf, roleOf } from '../src/session/attributes';
import { MOST_MESSAGES, reduceChat, silent, toSend } from '../src/session/chat';
import { identityFor, shorten } from '../src/session/identity';
import { NOTICE_MS, noNotices, reduceNotices } from '../src/session/notices';
import { findPeople, requests, sortPeople } from '../src/view/people';
import { arrange, columns, place } from '../src/view/stage';
import { agoText, clockText, durationText, endText } from '../src/view/words';
import { aPerson, aStream } from './make';

describe('passes', () => {
  it('are read from the fragment of a link, and nothing else is', () => {
    expect(passesIn('#invite=lsi_a.b-c_d')).toEqual([['invite', 'lsi_a.b-c_d']]);
    expect(passesIn('#hostKey=lsh_x&invite=lsi_y')).toEqual([
      ['hostKey', 'lsh_x'],
      ['invite', 'lsi_y'],
    ]);
    for (const other of ['', '#', '#chat', '#invite=', '#key=x']) expect(passesIn(other)).toEqual([]);
  });
});

describe('decoding', () => {
  it('takes what it knows and ignores the rest', () => {
    expect(decodeStream({ ...aStream({ title: 'T' }), participants: ['x'], future: 1 })).toMatchObject({
      title: 'T',
      phase: 'live',
    });
  });
  it('understands a classic state by its status', () => {
    expect(decodeStream({ streamId: 'a', epoch: 'e', version: 1, status: 'finished' })).toMatchObject({
      phase: 'ended',
    });
    expect(decodeStream({ streamId: 'a', epoch: 'e', version: 1, phase: 'paused' })).toMatchObject({
      phase: 'waiting',
    });
  });
  it('answers null for what is no stream', () => {
    for (const value of [
      null,
      1,
      'x',
      {},
      { streamId: 1, epoch: 'e', version: 1 },
      { streamId: 'a', epoch: 'e' },
    ]) {
      expect(decodeStream(value)).toBeNull();
    }
  });
});

describe('errors in words', () => {
  it('knows the statuses', () => {
    expect([401, 403, 404, 409, 412, 429, 503, 500].map(kindOf)).toEqual([
      'unauthorized',
      'forbidden',
      'missing',
      'conflict',
      'changed',
      'limited',
      'unavailable',
      'failed',
    ]);
  });
  it('adds the server’s words only where they help', () => {
    expect(explain(new ApiError('invalid', '"name" is not allowed to be empty'))).toContain(
      '"name" is not allowed to be empty.',
    );
    expect(explain(new ApiError('unavailable', 'redis: connection refused'))).not.toContain('redis');
    expect(explain(new ApiError('missing', 'x'), { missing: 'Gone.' })).toBe('Gone.');
    expect(explain(new TypeError('x'))).toContain('Reload');
  });
});

describe('addresses', () => {
  it('name a stream for the room or the embed', () => {
    expect(addressOf('/room.html', '?streamId=a%2Fb')).toBe('a/b');
    expect(addressOf('/embed/a%2Fb%22', '')).toBe('a/b"');
    expect(addressOf('/embed/%', '')).toBe('%');
    expect(addressOf('/room.html', '')).toBeNull();
    expect(addressOf('/embed/', '')).toBeNull();
  });
  it('are safe to put into a page', () => {
    const hostile = '"><img src=x onerror=alert(1)>&';
    expect(watchLink('https://x', hostile)).not.toMatch(/[<>"]/);
    expect(embedCode('https://x', hostile).match(/"/g)).toHaveLength(10);
  });
});

describe('roles and hands', () => {
  it('come from the attributes, else from the grants', () => {
    expect(roleOf({ attributes: { role: 'host' }, permissions: { canPublish: false } })).toBe('host');
    expect(roleOf({ attributes: { role: 'emperor' }, permissions: { canPublish: true } })).toBe('speaker');
    expect(roleOf({ attributes: {} })).toBe('viewer');
  });
  it('read a raised hand', () => {
    expect(handOf({ attributes: { hand: '1970-01-01T00:00:01.000Z' } })).toBe(1_000);
    expect(handOf({ attributes: { hand: 'up' } })).toBe(0);
    expect(handOf({ attributes: { hand: '' } })).toBeNull();
    expect(handOf({ attributes: {} })).toBeNull();
  });
});

describe('the chat', () => {
  const message = (n: number, own = false) => ({ id: `m${n}`, from: 'a', name: 'A', text: 't', at: n, own });
  it('keeps the newest messages and takes none twice', () => {
    let chat = silent;
    for (let n = 0; n < MOST_MESSAGES + 5; n += 1)
      chat = reduceChat(chat, { type: 'message', message: message(n) });
    expect(chat.messages).toHaveLength(MOST_MESSAGES);
    expect(reduceChat(chat, { type: 'message', message: message(MOST_MESSAGES) })).toBe(chat);
  });
  it('counts what is unread while it is closed', () => {
    const closed = [message(1), message(2), message(3, true)].reduce(
      (chat, each) => reduceChat(chat, { type: 'message', message: each }),
      silent,
    );
    expect(closed.unread).toBe(2);
    const opened = reduceChat(closed, { type: 'open', open: true });
    expect(opened.unread).toBe(0);
    expect(reduceChat(opened, { type: 'message', message: message(4) }).unread).toBe(0);
  });
  it('lets reactions float away', () => {
    const chat = reduceChat(silent, {
      type: 'reaction',
      reaction: { id: 'r', kind: 'heart', at: 0, lane: 0 },
    });
    expect(reduceChat(chat, { type: 'sweep', now: 10 })).toBe(chat);
    expect(reduceChat(chat, { type: 'sweep', now: 10_000 }).reactions).toEqual([]);
  });
  it('sends no empty and no endless message', () => {
    expect(toSend('  \n ')).toBeNull();
    expect(toSend(` hi ${'x'.repeat(9_000)}`)).toHaveLength(2_000);
  });
});

describe('short messages', () => {
  it('show the newest three, each once, for a while', () => {
    const say = (text: string, now: number) => ({ type: 'say', text, now }) as const;
    let notices = [say('a', 1), say('b', 2), say('a', 3), say('c', 4), say('d', 5)].reduce(
      reduceNotices,
      noNotices,
    );
    expect(notices.list.map(({ text }) => text)).toEqual(['a', 'c', 'd']);
    notices = reduceNotices(notices, { type: 'sweep', now: 4 + NOTICE_MS });
    expect(notices.list.map(({ text }) => text)).toEqual(['d']);
  });
});

describe('identities', () => {
  it('are the name and four characters, within the limit', () => {
    expect(identityFor(' Ann  Lee ', 'ab12')).toBe('Ann-Lee-ab12');
    expect(identityFor('', 'ab12')).toBe('guest-ab12');
    expect(new TextEncoder().encode(identityFor('é'.repeat(300), 'ab12')).length).toBeLessThanOrEqual(256);
    expect(shorten('aé', 2)).toBe('a');
  });
});

describe('the stage', () => {
  const tile = (key: string, screen = false) => ({ key, screen });
  it('gives a shared screen the stage and the people a strip', () => {
    const { large, small } = arrange([tile('a'), tile('b:screen', true), tile('b')]);
    expect(large.map(({ key }) => key)).toEqual(['b:screen']);
    expect(small.map(({ key }) => key)).toEqual(['a', 'b']);
  });
  it('shows no more than one can look at, and says how many are left', () => {
    const many = Array.from({ length: 40 }, (_, n) => tile(`p${n}`));
    expect(arrange(many)).toMatchObject({ hidden: 24, small: [] });
    expect(arrange([tile('s', true), ...many])).toMatchObject({ hidden: 34 });
  });
  it('makes the pictures as large as the shape allows', () => {
    expect(columns(0, 16 / 9)).toBe(1);
    expect(columns(2, 1)).toBe(1);
    expect(columns(1, 16 / 9)).toBe(1);
    expect(columns(2, 16 / 9)).toBe(2);
    expect(columns(2, 3)).toBe(2);
    expect(columns(4, 16 / 9)).toBe(2);
    expect(columns(5, 16 / 9)).toBe(3);
    expect(columns(16, 16 / 9)).toBe(4);
    expect(columns(3, 0.5)).toBe(1);
  });
});

describe('the grid of the stage', () => {
  it('is even while nothing is shared', () => {
    expect(place(4, 0, 16 / 9)).toEqual({
      columns: 'repeat(2, minmax(0, 1fr))',
      rows: 'repeat(2, minmax(0, 1fr))',
      areas: [
        '1 / 1 / span 1 / span 1',
        '1 / 2 / span 1 / span 1',
        '2 / 1 / span 1 / span 1',
        '2 / 2 / span 1 / span 1',
      ],
    });
  });
  it('has a strip beside a shared screen, or below it on a tall stage', () => {
    expect(place(1, 2, 16 / 9).areas).toEqual([
      '1 / 1 / span 2 / span 1',
      '1 / 2 / span 1 / span 1',
      '2 / 2 / span 1 / span 1',
    ]);
    expect(place(1, 2, 0.5).areas).toEqual([
      '1 / 1 / span 1 / span 2',
      '2 / 1 / span 1 / span 1',
      '2 / 2 / span 1 / span 1',
    ]);
    expect(place(1, 2, 0.5).rows).toMatch(/^repeat\(1, .*\) minmax\(0, 0\.220fr\)$/);
  });
});

describe('people', () => {
  const ann = aPerson({ identity: 'ann', name: 'Ann', role: 'host' });
  const zoe = aPerson({ identity: 'zoe', name: 'Zoe', hand: 10 });
  const bob = aPerson({ identity: 'bob', name: 'Bob', hand: 20 });
  const cleo = aPerson({ identity: 'cleo', name: 'Cleo' });
  const dan = aPerson({ identity: 'dan', name: 'Dan', role: 'speaker', hand: 1 });
  it('are listed hosts first, then speakers, hands in order, then by name', () => {
    expect(sortPeople([cleo, bob, zoe, dan, ann]).map(({ name }) => name)).toEqual([
      'Ann',
      'Dan',
      'Zoe',
      'Bob',
      'Cleo',
    ]);
  });
  it('ask to speak in the order of their hands', () => {
    expect(requests([bob, dan, zoe, cleo]).map(({ name }) => name)).toEqual(['Zoe', 'Bob']);
  });
  it('are found by name', () => {
    expect(findPeople([ann, bob], ' BO ')).toEqual([bob]);
  });
});

describe('times in words', () => {
  it('are short', () => {
    expect(clockText(1_084_000)).toBe('00:18:04');
    expect(clockText(-5)).toBe('00:00:00');
    expect([40_000, 18 * 60_000, 125 * 60_000, 3_600_000, 50 * 3_600_000].map(durationText)).toEqual([
      '40 s',
      '18 min',
      '2 h 5 min',
      '1 h',
      '2 days',
    ]);
    expect(agoText(3_000)).toBe('just now');
    expect(agoText(180_000)).toBe('3 min ago');
  });
  it('name every reason, also one that is not known yet', () => {
    expect(endText('stopped')).toBe('The host ended it.');
    expect(endText('something_new')).toBe('It is over.');
  });
});

describe('back-off', () => {
  it('doubles up to its most, half of it by chance', () => {
    expect(backOff(0, 500, 10_000, 0)).toBe(250);
    expect(backOff(0, 500, 10_000, 1)).toBe(500);
    expect(backOff(30, 500, 10_000, 1)).toBe(10_000);
  });
});
