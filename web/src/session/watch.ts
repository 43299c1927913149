// Watches a LiveKit room for what the page says aloud: how much is published,
// who came on the stage or left it, whose hand went up, and our own role.

import { type Participant, type Room, RoomEvent } from 'livekit-client';
import { handOf, roleOf } from './attributes';

/** Hears of what happens in the room. */
export interface RoomWatcher {
  /** How many tracks are published, ours included; called when it goes from or to none, and on connecting. */
  published(count: number): void;
  /** Something worth a short message. */
  say(text: string): void;
  /** Our own grants or attributes changed. */
  role(): void;
}

/** Starts watching; the answer ends it. */
export function watchRoom(room: Room, watcher: RoomWatcher): () => void {
  let published = -1;
  const count = () => {
    const now = publishedIn(room);
    if (published < 0 || (now === 0) !== (published === 0)) watcher.published(now);
    published = now;
  };
  const again = () => {
    published = -1;
    count();
  };
  const left = (person: Participant) => {
    if (roleOf(person) !== 'viewer') watcher.say(`${nameOf(person)} left the stage`);
    count();
  };
  const connected = (person: Participant) => {
    if (roleOf(person) !== 'viewer') watcher.say(`${nameOf(person)} is here`);
  };
  const attributes = (changed: Record<string, string>, person: Participant) => {
    if (person === room.localParticipant) return watcher.role();
    if (Object.keys(changed).length > 0 && handRose(changed, person))
      watcher.say(`${nameOf(person)} wants to speak`);
  };
  const permissions = (_: unknown, person: Participant) => {
    if (person === room.localParticipant) watcher.role();
  };
  room
    .on(RoomEvent.Connected, again)
    .on(RoomEvent.Reconnected, again)
    .on(RoomEvent.TrackPublished, count)
    .on(RoomEvent.TrackUnpublished, count)
    .on(RoomEvent.LocalTrackPublished, count)
    .on(RoomEvent.LocalTrackUnpublished, count)
    .on(RoomEvent.ParticipantConnected, connected)
    .on(RoomEvent.ParticipantDisconnected, left)
    .on(RoomEvent.ParticipantAttributesChanged, attributes)
    .on(RoomEvent.ParticipantPermissionsChanged, permissions);
  return () => room.removeAllListeners();
}

/** What a person is called. */
export function nameOf(person: Pick<Participant, 'identity' | 'name'>): string {
  return person.name === undefined || person.name === '' ? person.identity : person.name;
}

function publishedIn(room: Room): number {
  const people = [room.localParticipant, ...room.remoteParticipants.values()];
  return people.reduce((sum, person) => sum + person.trackPublications.size, 0);
}

function handRose(changed: Record<string, string>, person: Participant): boolean {
  return handOf({ attributes: changed }) !== null && handOf(person) !== null;
}
