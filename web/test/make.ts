// Streams and people as tests need them.

import type { StreamInfo } from '../src/api/types';
import type { Person } from '../src/view/people';

/** A live stream, but for what `change` says. */
export function aStream(change: Partial<StreamInfo> = {}): StreamInfo {
  return {
    streamId: 'gold',
    status: 'active',
    phase: 'live',
    participantCount: 3,
    startedAt: '2026-11-23T10:00:00.000Z',
    epoch: 'aaaaaaaa',
    version: 1,
    ...change,
  };
}

/** Somebody who watches, but for what `change` says. */
export function aPerson(change: Partial<Person> = {}): Person {
  return {
    identity: 'bob-x1y2',
    name: 'Bob',
    role: 'viewer',
    hand: null,
    me: false,
    microphone: 'none',
    camera: 'none',
    screen: false,
    ...change,
  };
}
