import { describe, expect, it } from 'vitest';
import { createSseParser } from '../src/feed/sse';

const whole =
  ': connected\n\nretry: 1500\nid: ab-1\ndata: {"a":1}\n\nevent: upsert\ndata: {\ndata: }\n\n:\n\n';

const items = [
  { kind: 'comment' },
  { kind: 'retry', ms: 1500 },
  { kind: 'event', event: 'message', data: '{"a":1}', id: 'ab-1' },
  { kind: 'event', event: 'upsert', data: '{\n}', id: 'ab-1' },
  { kind: 'comment' },
];

describe('the event stream parser', () => {
  it('reads events, ids, comments and retry', () => {
    expect(createSseParser().push(whole)).toEqual(items);
  });

  it('reads the same whatever the pieces are', () => {
    for (const size of [1, 2, 3, 7]) {
      const parser = createSseParser();
      const read = [];
      for (let at = 0; at < whole.length; at += size) read.push(...parser.push(whole.slice(at, at + size)));
      expect(read).toEqual(items);
    }
  });

  it('takes CR, LF and CR LF as line ends, also when they are split', () => {
    const parser = createSseParser();
    expect(parser.push('data: a\r')).toEqual([]);
    expect(parser.push('\ndata: b\r\n\r\n')).toEqual([
      { kind: 'event', event: 'message', data: 'a\nb', id: null },
    ]);
  });

  it('sends no event without data', () => {
    expect(createSseParser().push('event: x\nid: 1\n\n')).toEqual([]);
  });

  it('ignores unknown fields and a retry that is no number', () => {
    expect(createSseParser().push('retry: soon\nfoo: bar\ndata\n\n')).toEqual([
      { kind: 'event', event: 'message', data: '', id: null },
    ]);
  });
});
