// Who is listed where in the people panel. Pure.

import type { Role } from '../api/types';

/** What the panel shows of a person. */
export interface Person {
  identity: string;
  name: string;
  role: Role;
  /** When the hand went up, milliseconds; `null`: it is down. */
  hand: number | null;
  me: boolean;
  microphone: 'on' | 'muted' | 'none';
  camera: 'on' | 'muted' | 'none';
  screen: boolean;
}

/** So many rows are drawn; the search finds the others. */
export const MOST_ROWS = 150;

/** Hosts, speakers, raised hands (the earliest first), then everybody else by name. */
export function sortPeople(people: Person[]): Person[] {
  return [...people].sort(
    (a, b) =>
      rank(a) - rank(b) ||
      (a.hand ?? 0) - (b.hand ?? 0) ||
      a.name.localeCompare(b.name) ||
      (a.identity < b.identity ? -1 : 1),
  );
}

/** Those whose name or identity contains `search`. */
export function findPeople(people: Person[], search: string): Person[] {
  const wanted = search.trim().toLocaleLowerCase();
  if (wanted === '') return people;
  return people.filter(({ name, identity }) => `${name} ${identity}`.toLocaleLowerCase().includes(wanted));
}

/** Those who ask to speak, the earliest first. Whoever may speak already does not ask. */
export function requests(people: Person[]): Person[] {
  return people
    .filter((person) => person.hand !== null && person.role === 'viewer')
    .sort((a, b) => (a.hand ?? 0) - (b.hand ?? 0));
}

function rank(person: Person): number {
  if (person.role === 'host') return 0;
  if (person.role === 'speaker') return 1;
  return person.hand === null ? 3 : 2;
}
