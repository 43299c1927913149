// Times and reasons as people say them. Pure.

import type { EndReason, Role } from '../api/types';
import type { Refusal } from '../session/state';

/** `00:18:04`, and never negative. */
export function clockText(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return parts.map((part) => String(part).padStart(2, '0')).join(':');
}

/** `18 min`, `2 h 5 min`, `40 s`. */
export function durationText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours >= 48) return `${Math.floor(hours / 24)} days`;
  return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
}

/** `just now`, `3 min ago`. */
export function agoText(ms: number): string {
  return ms < 10_000 ? 'just now' : `${durationText(ms)} ago`;
}

/** `12:03:05` in the viewer's own time. */
export function timeText(at: number): string {
  return new Date(at).toLocaleTimeString('en-GB');
}

/** The exact time, for a tooltip. */
export function exactText(iso: string): string {
  const at = Date.parse(iso);
  return Number.isNaN(at) ? '' : new Date(at).toLocaleString();
}

/** `12 watching`, `1 watching`, `nobody yet`. */
export function watchingText(count: number): string {
  return count === 0 ? 'nobody here' : `${count.toLocaleString('en')} here`;
}

/** Why a stream ended. */
export function endText(reason: EndReason | undefined): string {
  const texts: Record<string, string> = {
    stopped: 'The host ended it.',
    idle: 'Everybody had left.',
    max_duration: 'It reached its time limit.',
    publisher_left: 'The host did not come back.',
    room_finished: 'The media server closed it.',
    lost: 'The media server lost it.',
  };
  return texts[reason ?? ''] ?? 'It is over.';
}

/** Why a join did not work. */
export function refusalText(refusal: Refusal, signedIn: boolean): string {
  const texts: Record<Refusal, string> = {
    key: signedIn
      ? 'The key you signed in with is not known here. Sign in with another one, or sign out and watch.'
      : 'Hosting and speaking here needs a key. Sign in with a key, or watch.',
    forbidden: 'Your key may not do that here. Sign in with another one, or watch.',
    full: 'The stream is full. Try again when somebody has left.',
    taken: 'Somebody with this name is in the stream already. Choose another name.',
    banned: 'You are banned from this stream.',
    missing: 'This stream does not exist any more.',
    ended: 'This stream has ended.',
    passing: 'The server cannot be reached just now. Try again in a moment.',
    media: 'The server answered, but the video connection could not be made. A firewall may block it.',
    failed: 'The server did not let you in. Try again, or choose another name.',
  };
  return texts[refusal];
}

/** What a role is called on the page. */
export function roleText(role: Role): string {
  return { host: 'host', speaker: 'speaker', viewer: 'watching' }[role];
}
