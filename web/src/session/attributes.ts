// How roles and raised hands travel: the server sets them as LiveKit
// attributes of a participant. Only read here.

import type { Role } from '../api/types';

/** Attribute with the role: `host`, `speaker` or `viewer`. */
export const ROLE_ATTRIBUTE = 'role';

/** Attribute with the time at which the hand was raised (ISO 8601); absent or empty: it is down. */
export const HAND_ATTRIBUTE = 'hand';

/** What the pages need of a participant, LiveKit's or any other. */
export interface Attributed {
  attributes: Readonly<Record<string, string>>;
  permissions?: { canPublish?: boolean } | undefined;
}

/** The role: as the server says, else by what the grants allow (tokens made elsewhere carry no attribute). */
export function roleOf(person: Attributed): Role {
  const told = person.attributes[ROLE_ATTRIBUTE];
  if (told === 'host' || told === 'speaker' || told === 'viewer') return told;
  return person.permissions?.canPublish === true ? 'speaker' : 'viewer';
}

/** When the hand was raised, in milliseconds; `null` when it is down. */
export function handOf(person: Attributed): number | null {
  const told = person.attributes[HAND_ATTRIBUTE];
  if (told === undefined || told === '') return null;
  const at = Date.parse(told);
  return Number.isNaN(at) ? 0 : at;
}
