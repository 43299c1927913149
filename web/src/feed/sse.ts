// The text format of an event stream (HTML Living Standard, 9.2.6), as a pure
// incremental parser. Unlike `EventSource` it shows heartbeats, so that a dead
// connection is noticed.

/** What a piece of the stream held. */
export type SseItem =
  | { kind: 'event'; event: string; data: string; id: string | null }
  | { kind: 'comment' }
  | { kind: 'retry'; ms: number };

/** Keeps what is incomplete between two pieces. */
export interface SseParser {
  /** Takes the next piece of text and answers what became complete with it. */
  push(text: string): SseItem[];
}

/** A parser at the beginning of a stream. */
export function createSseParser(): SseParser {
  let rest = '';
  let fields: Fields = { event: '', data: [], id: null };
  return {
    push(text) {
      rest += text;
      const items: SseItem[] = [];
      for (;;) {
        const end = lineEnd(rest);
        if (end === null) return items;
        const line = rest.slice(0, end.at);
        rest = rest.slice(end.next);
        if (line === '') {
          if (fields.data.length > 0) items.push(complete(fields));
          fields = { event: '', data: [], id: fields.id };
        } else {
          const item = takeLine(line, fields);
          if (item !== null) items.push(item);
        }
      }
    },
  };
}

interface Fields {
  event: string;
  data: string[];
  id: string | null;
}

/** Where the first line ends. A carriage return at the very end may be half of CR LF: wait for more. */
function lineEnd(text: string): { at: number; next: number } | null {
  const at = text.search(/[\r\n]/);
  if (at < 0) return null;
  if (text[at] === '\n') return { at, next: at + 1 };
  if (at + 1 === text.length) return null;
  return { at, next: text[at + 1] === '\n' ? at + 2 : at + 1 };
}

function takeLine(line: string, fields: Fields): SseItem | null {
  const colon = line.indexOf(':');
  if (colon === 0) return { kind: 'comment' };
  const name = colon < 0 ? line : line.slice(0, colon);
  const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
  if (name === 'data') fields.data.push(value);
  else if (name === 'event') fields.event = value;
  else if (name === 'id' && !value.includes('\0')) fields.id = value;
  else if (name === 'retry' && /^\d+$/.test(value)) return { kind: 'retry', ms: Number(value) };
  return null;
}

function complete(fields: Fields): SseItem {
  const event = fields.event === '' ? 'message' : fields.event;
  return { kind: 'event', event, data: fields.data.join('\n'), id: fields.id };
}
