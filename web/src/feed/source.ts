// A connection to an event stream that makes itself again. An edge: it reads
// the network and the clock, and turns them into feed actions.

import { noteServerDate } from '../lib/clock';
import { backOff, wait } from '../lib/wait';
import type { FeedAction } from './action';
import { createSseParser, type SseItem } from './sse';

/** The server sends a heartbeat every 15 s; three missed ones mean that the connection is dead. */
const SILENCE_MS = 50_000;
/** A stream that is not there is looked for again, slowly: somebody may be about to open it. */
const MISSING_MS = 10_000;
const FIRST_RETRY_MS = 500;
const MOST_RETRY_MS = 10_000;

/** What a source needs from the page that uses it. */
export interface SourceOptions {
  path: string;
  /** The id to resume from, asked before every connection. */
  lastId(): string | null;
  /** What lets us look, asked before every connection. */
  bearer?(): string | null;
  /** Hears everything that happens. */
  report(action: FeedAction): void;
  /** Hears that bytes came, heartbeats included. */
  alive?(): void;
}

/** Opens the stream and keeps it open until `signal` is aborted. */
export async function runSource(options: SourceOptions, signal: AbortSignal): Promise<void> {
  let failures = 0;
  let retryMs = FIRST_RETRY_MS;
  while (!signal.aborted) {
    const outcome = await connectOnce(options, signal);
    if (signal.aborted) return;
    options.report(afterwards(outcome));
    failures = outcome.opened ? 0 : failures + 1;
    retryMs = outcome.retryMs ?? retryMs;
    const pause =
      outcome.why === 'missing' ? MISSING_MS : backOff(failures, retryMs, MOST_RETRY_MS, Math.random());
    await waitOnline(Math.max(pause, outcome.holdMs), signal);
  }
}

interface Outcome {
  why: 'missing' | 'unreachable' | 'unavailable' | 'ended';
  opened: boolean;
  /** The server's `retry:`. */
  retryMs: number | null;
  /** The server's `Retry-After`. */
  holdMs: number;
}

function afterwards(outcome: Outcome): FeedAction {
  const at = Date.now();
  return outcome.why === 'missing' ? { type: 'missing', at } : { type: 'down', at, why: outcome.why };
}

async function connectOnce(options: SourceOptions, signal: AbortSignal): Promise<Outcome> {
  const outcome: Outcome = { why: 'unreachable', opened: false, retryMs: null, holdMs: 0 };
  const silence = new AbortController();
  const dead = () => silence.abort();
  let watchdog = setTimeout(dead, SILENCE_MS);
  const heard = () => {
    clearTimeout(watchdog);
    watchdog = setTimeout(dead, SILENCE_MS);
    options.alive?.();
  };
  try {
    const response = await fetch(options.path, {
      headers: headersFor(options.lastId(), options.bearer?.() ?? null),
      cache: 'no-store',
      signal: AbortSignal.any([signal, silence.signal]),
    });
    noteServerDate(response.headers.get('date'));
    if (!response.ok || response.body === null) return refused(outcome, response);
    outcome.opened = true;
    options.report({ type: 'open', at: Date.now() });
    await readAll(response.body, options, outcome, heard);
    outcome.why = 'ended';
  } catch {
    outcome.why = 'unreachable';
  } finally {
    clearTimeout(watchdog);
    silence.abort();
  }
  return outcome;
}

function headersFor(lastId: string | null, bearer: string | null): Record<string, string> {
  const headers: Record<string, string> = { Accept: 'text/event-stream' };
  if (lastId !== null) headers['Last-Event-ID'] = lastId;
  if (bearer !== null) headers.Authorization = `Bearer ${bearer}`;
  return headers;
}

function refused(outcome: Outcome, response: Response): Outcome {
  const seconds = Number(response.headers.get('retry-after') ?? 0);
  outcome.holdMs = Number.isFinite(seconds) ? Math.min(seconds * 1000, 60_000) : 0;
  // A private stream is not there for whoever is not let in.
  outcome.why = [401, 403, 404, 410].includes(response.status) ? 'missing' : 'unavailable';
  return outcome;
}

async function readAll(
  body: ReadableStream<Uint8Array>,
  options: SourceOptions,
  outcome: Outcome,
  heard: () => void,
): Promise<void> {
  const parser = createSseParser();
  const decoder = new TextDecoder();
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    heard();
    for (const item of parser.push(decoder.decode(value, { stream: true }))) takeItem(item, options, outcome);
  }
}

function takeItem(item: SseItem, options: SourceOptions, outcome: Outcome): void {
  if (item.kind === 'retry') outcome.retryMs = item.ms;
  if (item.kind !== 'event') return;
  const data = parse(item.data);
  if (data === undefined) return;
  options.report({ type: 'event', at: Date.now(), event: item.event, data, id: item.id });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** Waits, but not a moment longer than the network stays away. */
async function waitOnline(ms: number, signal: AbortSignal): Promise<void> {
  const back = new AbortController();
  const wake = () => back.abort();
  window.addEventListener('online', wake);
  await wait(ms, AbortSignal.any([signal, back.signal]));
  window.removeEventListener('online', wake);
}
