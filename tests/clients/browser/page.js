// What the tests do inside a page: livekit-client as it is published, and a few measuring helpers.
import * as livekit from "livekit-client";

const rooms = {};

/** Joins as `name`; `options` are livekit-client's RoomOptions. */
async function join(name, url, token, options = {}, connectOptions = {}) {
  const room = new livekit.Room(options);
  const log = { events: [], data: [], speakers: [], videos: {}, requests: [] };
  rooms[name] = { room, log };
  const { RoomEvent } = livekit;
  for (const event of [
    RoomEvent.Reconnecting,
    RoomEvent.Reconnected,
    RoomEvent.SignalReconnecting,
    RoomEvent.Disconnected,
    RoomEvent.ParticipantConnected,
    RoomEvent.ParticipantDisconnected,
    RoomEvent.TrackMuted,
    RoomEvent.TrackUnmuted,
    RoomEvent.LocalTrackSubscribed,
    RoomEvent.ParticipantMetadataChanged,
    RoomEvent.RoomMetadataChanged,
    RoomEvent.ParticipantPermissionsChanged,
  ]) {
    room.on(event, (...args) => log.events.push({ event, text: String(args[0]?.identity ?? args[0]?.source ?? args[0]) }));
  }
  room.on(RoomEvent.DataReceived, (payload, participant, _kind, topic) => {
    log.data.push({ text: new TextDecoder().decode(payload), from: participant?.identity, topic });
  });
  room.on(RoomEvent.ActiveSpeakersChanged, (speakers) => log.speakers.push(...speakers.map((s) => s.identity)));
  room.on(RoomEvent.TrackSubscribed, (track, publication, participant) => {
    const element = track.attach();
    element.dataset.owner = `${name}:${participant.identity}:${publication.source}`;
    element.muted = false;
    document.body.append(element);
  });
  room.on(RoomEvent.TrackUnsubscribed, (track, publication, participant) => {
    track.detach();
    const owner = `${name}:${participant.identity}:${publication.source}`;
    document.querySelectorAll(`[data-owner="${owner}"]`).forEach((element) => element.remove());
  });
  const started = performance.now();
  await room.connect(url, token, connectOptions);
  return performance.now() - started;
}

function element(name, identity, source) {
  const all = [...document.querySelectorAll(`[data-owner="${name}:${identity}:${source}"]`)];
  return all[all.length - 1];
}

/** State of the newest element that shows somebody's track. */
function showing(name, identity, source = "camera") {
  const e = element(name, identity, source);
  if (!e) return null;
  return { time: e.currentTime, width: e.videoWidth ?? 0, paused: e.paused };
}

/** Loudness of a received audio track over half a second, 0 to 1. */
async function loudness(name, identity) {
  const publication = find(name, identity, "microphone");
  const context = new AudioContext();
  const source = context.createMediaStreamSource(new MediaStream([publication.track.mediaStreamTrack]));
  const analyser = context.createAnalyser();
  source.connect(analyser);
  let peak = 0;
  const samples = new Float32Array(analyser.fftSize);
  for (let i = 0; i < 15; i++) {
    await new Promise((done) => setTimeout(done, 100));
    analyser.getFloatTimeDomainData(samples);
    peak = Math.max(peak, ...samples);
  }
  await context.close();
  return peak;
}

/** Publishes a steady tone as the microphone: the fake device only beeps. */
async function publishTone(name) {
  const context = new AudioContext();
  const tone = context.createOscillator();
  const out = context.createMediaStreamDestination();
  tone.connect(out);
  tone.start();
  const source = livekit.Track.Source.Microphone;
  await rooms[name].room.localParticipant.publishTrack(out.stream.getAudioTracks()[0], { source });
}

function find(name, identity, source) {
  const participant = rooms[name].room.remoteParticipants.get(identity);
  return participant?.getTrackPublication(source);
}

/** Bytes of the longest session description a participant holds. */
function sdpSize(name) {
  const manager = rooms[name].room.engine.pcManager;
  const connections = [manager.publisher, manager.subscriber].filter(Boolean).map((t) => t.pc ?? t._pc);
  const sizes = connections.flatMap((pc) => [pc.remoteDescription, pc.localDescription]).map((d) => d?.sdp.length ?? 0);
  return Math.max(...sizes);
}

/** Ends the signalling socket as a lost network would. */
function cutSignal(name) {
  rooms[name].room.engine.client.ws?.close(4000, "cut by the test");
}

globalThis.t = { livekit, rooms, join, showing, loudness, publishTone, find, sdpSize, cutSignal };
