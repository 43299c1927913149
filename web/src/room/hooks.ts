// LiveKit's room as React state: only what the components here show.

import { useParticipants, useRoomContext, useTracks } from '@livekit/components-react';
import { type Participant, RoomEvent, Track, type VideoQuality } from 'livekit-client';
import { useEffect, useMemo, useState } from 'react';
import { handOf, roleOf } from '../session/attributes';
import { nameOf } from '../session/watch';
import type { Person } from '../view/people';
import type { Tile } from '../view/stage';

/** A picture of the stage. */
export interface StageTile extends Tile {
  participant: Participant;
  source: Track.Source;
  /** There is a picture to show, not only a voice. */
  picture: boolean;
}

/** Everything that changes what a person looks like in the list or on the stage. */
const PERSON_EVENTS = [
  RoomEvent.TrackMuted,
  RoomEvent.TrackUnmuted,
  RoomEvent.TrackPublished,
  RoomEvent.TrackUnpublished,
  RoomEvent.LocalTrackPublished,
  RoomEvent.LocalTrackUnpublished,
  RoomEvent.ParticipantAttributesChanged,
  RoomEvent.ParticipantPermissionsChanged,
  RoomEvent.ParticipantNameChanged,
];

/** Who is on the stage: shared screens, cameras, and those who only speak. */
export function useStageTiles(): StageTile[] {
  const refs = useTracks([Track.Source.ScreenShare, Track.Source.Camera, Track.Source.Microphone], {
    onlySubscribed: false,
    updateOnlyOn: PERSON_EVENTS,
  });
  const tiles = new Map<string, StageTile>();
  for (const { participant, source, publication } of refs) {
    const screen = source === Track.Source.ScreenShare;
    const key = screen ? `${participant.identity}:screen` : participant.identity;
    const picture = source !== Track.Source.Microphone && !publication.isMuted;
    const had = tiles.get(key);
    if (had === undefined || (picture && !had.picture)) {
      tiles.set(key, { key, screen, participant, source: screen ? source : Track.Source.Camera, picture });
    }
  }
  return [...tiles.values()].sort(byArrival);
}

/** Everybody in the room. */
export function usePeople(): Person[] {
  const room = useRoomContext();
  const people = useParticipants({
    room,
    updateOnlyOn: [...PERSON_EVENTS, RoomEvent.ParticipantConnected, RoomEvent.ParticipantDisconnected],
  });
  return useMemo(
    () => people.filter(isPerson).map((person) => personOf(person, person === room.localParticipant)),
    [people, room],
  );
}

/** Whether the browser keeps the sound back until somebody touches the page. */
export function useSoundBlocked(): boolean {
  const room = useRoomContext();
  const [blocked, setBlocked] = useState(!room.canPlaybackAudio);
  useEffect(() => {
    const look = () => setBlocked(!room.canPlaybackAudio);
    look();
    room.on(RoomEvent.AudioPlaybackStatusChanged, look);
    return () => {
      room.off(RoomEvent.AudioPlaybackStatusChanged, look);
    };
  }, [room]);
  return blocked;
}

/** How good a picture is wanted of everybody. */
export function useQuality(quality: VideoQuality): void {
  const room = useRoomContext();
  useEffect(() => {
    const apply = () => {
      for (const person of room.remoteParticipants.values()) {
        for (const publication of person.videoTrackPublications.values()) {
          if (publication.isSubscribed) publication.setVideoQuality(quality);
        }
      }
    };
    apply();
    room.on(RoomEvent.TrackSubscribed, apply);
    return () => {
      room.off(RoomEvent.TrackSubscribed, apply);
    };
  }, [room, quality]);
}

/** Something that others send can be heard. */
export function useHasRemoteSound(): boolean {
  const refs = useTracks([Track.Source.Microphone, Track.Source.ScreenShareAudio], { onlySubscribed: true });
  return refs.some(({ participant }) => !participant.isLocal);
}

/** Recorders, agents and ingress are no people of the list; ingress is on the stage all the same. */
function isPerson(person: Participant): boolean {
  return !person.isAgent && person.permissions?.hidden !== true && person.permissions?.recorder !== true;
}

function personOf(person: Participant, me: boolean): Person {
  return {
    identity: person.identity,
    name: nameOf(person),
    role: roleOf(person),
    hand: handOf(person),
    me,
    microphone: stateOf(person, Track.Source.Microphone),
    camera: stateOf(person, Track.Source.Camera),
    screen: person.isScreenShareEnabled,
  };
}

function stateOf(person: Participant, source: Track.Source): Person['microphone'] {
  const publication = person.getTrackPublication(source);
  if (publication === undefined) return 'none';
  return publication.isMuted ? 'muted' : 'on';
}

function byArrival(a: StageTile, b: StageTile): number {
  return (
    (a.participant.joinedAt?.getTime() ?? 0) - (b.participant.joinedAt?.getTime() ?? 0) ||
    (a.key < b.key ? -1 : 1)
  );
}
