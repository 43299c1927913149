"""Python livekit (the Rust SDK underneath) and livekit-api against a media server.

Run with unittest; LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET say which server,
WEBHOOK_PORT where it posts its events, if it does.
"""

import asyncio
import contextlib
import math
import os
import struct
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, HTTPServer

from livekit import api, rtc

URL = os.environ.get("LIVEKIT_URL", "ws://127.0.0.1:7880")
KEY = os.environ.get("LIVEKIT_API_KEY", "devkey")
SECRET = os.environ.get("LIVEKIT_API_SECRET", "secretsecretsecretsecretsecretsecret")
WEBHOOK_PORT = int(os.environ.get("WEBHOOK_PORT", "0"))
WIDTH, HEIGHT = 640, 360


def token(room, identity, **grants):
    video = api.VideoGrants(room_join=True, room=room, **grants)
    return api.AccessToken(KEY, SECRET).with_identity(identity).with_grants(video).to_jwt()


def room_name(what):
    return f"py-{what}-{os.getpid()}-{time.time_ns()}"


def service():
    return api.LiveKitAPI(URL.replace("ws", "http", 1), KEY, SECRET)


async def until(what, check, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = check()
        if asyncio.iscoroutine(result):
            result = await result
        if result:
            return result
        await asyncio.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


class Guest:
    """A participant that counts what it receives."""

    def __init__(self):
        self.room = rtc.Room()
        self.video, self.audio, self.data, self.events = 0, 0.0, [], []
        self.size = None
        self.tasks = []
        self.room.on("track_subscribed", self._subscribed)
        self.room.on("data_received", lambda p: self.data.append((bytes(p.data), p.participant and p.participant.identity, p.topic)))
        for event in ("disconnected", "reconnected", "track_muted", "track_unmuted", "track_unpublished"):
            self.room.on(event, lambda *_, event=event: self.events.append(event))

    def _subscribed(self, track, _publication, _participant):
        watch = self._watch if track.kind == rtc.TrackKind.KIND_VIDEO else self._listen
        self.tasks.append(asyncio.create_task(watch(track)))

    async def _watch(self, track):
        async for event in rtc.VideoStream(track):
            self.video += 1
            self.size = (event.frame.width, event.frame.height)

    async def _listen(self, track):
        async for event in rtc.AudioStream(track):
            self.audio = max(self.audio, max(abs(s) for s in event.frame.data) / 32768)

    async def close(self):
        await self.room.disconnect()
        for task in self.tasks:
            task.cancel()


@contextlib.asynccontextmanager
async def guests(room, *identities, single=True, **grants):
    joined = []
    try:
        for identity in identities:
            guest = Guest()
            options = rtc.RoomOptions(auto_subscribe=True)
            if hasattr(options, "single_peer_connection"):
                options.single_peer_connection = single
            await guest.room.connect(URL, token(room, identity, **grants), options)
            joined.append(guest)
        yield joined
    finally:
        for guest in joined:
            await guest.close()


async def publish_camera(guest):
    source = rtc.VideoSource(WIDTH, HEIGHT)
    track = rtc.LocalVideoTrack.create_video_track("camera", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA)
    publication = await guest.room.local_participant.publish_track(track, options)

    async def paint():
        shade = 0
        while True:
            shade = (shade + 8) % 256
            pixels = bytes([shade, 128, 255 - shade, 255]) * (WIDTH * HEIGHT)
            source.capture_frame(rtc.VideoFrame(WIDTH, HEIGHT, rtc.VideoBufferType.RGBA, pixels))
            await asyncio.sleep(1 / 15)

    guest.tasks.append(asyncio.create_task(paint()))
    return publication


async def publish_tone(guest):
    source = rtc.AudioSource(48000, 1)
    track = rtc.LocalAudioTrack.create_audio_track("mic", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
    publication = await guest.room.local_participant.publish_track(track, options)

    async def sing():
        n = 0
        while True:
            samples = [int(12000 * math.sin(2 * math.pi * 440 * (n + i) / 48000)) for i in range(480)]
            n += 480
            await source.capture_frame(rtc.AudioFrame(struct.pack("<480h", *samples), 48000, 1, 480))

    guest.tasks.append(asyncio.create_task(sing()))
    return publication


SINGLE = [True, False] if "single_peer_connection" in getattr(rtc.RoomOptions, "__annotations__", {}) else [True]


class PythonClient(unittest.IsolatedAsyncioTestCase):
    """livekit: media and data on both signalling paths, where the SDK lets us choose."""

    async def test_media(self):
        for single in SINGLE:
            with self.subTest(single=single):
                room = room_name("media")
                async with guests(room, "ann", "bob", single=single) as (ann, bob):
                    await publish_camera(ann)
                    await publish_tone(ann)
                    await until("video", lambda: bob.video > 10)
                    await until("audio", lambda: bob.audio > 0.05)
                    self.assertIn(bob.size, [(640, 360), (320, 180), (160, 90)])
                    await publish_tone(bob)
                    await until("audio the other way", lambda: ann.audio > 0.05)

    async def test_late_viewer_mute_and_unpublish(self):
        room = room_name("late")
        async with guests(room, "ann") as (ann,):
            camera = await publish_camera(ann)
            async with guests(room, "bob") as (bob,):
                await until("video", lambda: bob.video > 5)
                camera.track.mute()
                await until("muted", lambda: "track_muted" in bob.events)
                camera.track.unmute()
                await until("unmuted", lambda: "track_unmuted" in bob.events)
                await ann.room.local_participant.unpublish_track(camera.sid)
                await until("unpublished", lambda: "track_unpublished" in bob.events)

    async def test_data(self):
        for single in SINGLE:
            with self.subTest(single=single):
                room = room_name("data")
                async with guests(room, "ann", "bob", "carl", single=single) as (ann, bob, carl):
                    me = ann.room.local_participant
                    await me.publish_data(b"all", reliable=True, topic="t")
                    await me.publish_data(b"bob", reliable=True, destination_identities=["bob"])
                    await until("reliable data", lambda: len(bob.data) == 2 and len(carl.data) == 1)
                    self.assertEqual(bob.data[0], (b"all", "ann", "t"))

                    async def lossy():
                        await me.publish_data(b"lossy", reliable=False)
                        return any(d[0] == b"lossy" for d in carl.data)

                    await until("lossy data", lossy)

                    async def add(data):
                        return str(int(data.payload) + 1)

                    bob.room.local_participant.register_rpc_method("add", add)
                    answer = await me.perform_rpc(destination_identity="bob", method="add", payload="41")
                    self.assertEqual(answer, "42")

    async def test_refusals(self):
        room = rtc.Room()
        with self.assertRaises(rtc.ConnectError):
            await room.connect(URL, token("x", "ann")[:-3] + "abc")

    async def test_removal(self):
        name = room_name("remove")
        async with guests(name, "ann") as (ann,), service() as lk:
            await lk.room.remove_participant(api.RoomParticipantIdentity(room=name, identity="ann"))
            await until("disconnected", lambda: "disconnected" in ann.events)


class PythonApi(unittest.IsolatedAsyncioTestCase):
    """livekit-api: RoomService, tokens, webhooks."""

    async def test_room_service(self):
        name = room_name("api")
        async with service() as lk:
            room = await lk.room.create_room(api.CreateRoomRequest(name=name, empty_timeout=60, metadata="m"))
            self.assertEqual((room.name, room.empty_timeout, room.metadata), (name, 60, "m"))
            rooms = await lk.room.list_rooms(api.ListRoomsRequest(names=[name]))
            self.assertEqual([r.sid for r in rooms.rooms], [room.sid])
            async with guests(name, "ann"):
                people = await lk.room.list_participants(api.ListParticipantsRequest(room=name))
                self.assertEqual([p.identity for p in people.participants], ["ann"])
                info = await lk.room.update_participant(
                    api.UpdateParticipantRequest(room=name, identity="ann", metadata="new", attributes={"a": "b"})
                )
                self.assertEqual((info.metadata, dict(info.attributes)), ("new", {"a": "b"}))
            await lk.room.delete_room(api.DeleteRoomRequest(room=name))
            with self.assertRaises(api.TwirpError) as caught:
                await lk.room.delete_room(api.DeleteRoomRequest(room=name))
            self.assertEqual((caught.exception.code, caught.exception.status), ("not_found", 404))

    @unittest.skipUnless(WEBHOOK_PORT, "WEBHOOK_PORT is not set")
    async def test_webhooks(self):
        receiver = api.WebhookReceiver(api.TokenVerifier(KEY, SECRET))
        events = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                events.append(receiver.receive(body, self.headers["authorization"]))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        server = HTTPServer(("127.0.0.1", WEBHOOK_PORT), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            name = room_name("hooks")
            async with service() as lk:
                await lk.room.create_room(api.CreateRoomRequest(name=name))
                async with guests(name, "ann"):
                    await until("joined", lambda: [e for e in events if e.room.name == name and e.event == "participant_joined"])
                await lk.room.delete_room(api.DeleteRoomRequest(room=name))
            names = lambda: [e.event for e in events if e.room.name == name]
            await until("the end", lambda: "room_finished" in names())
            self.assertEqual(names(), ["room_started", "participant_joined", "participant_left", "room_finished"])
        finally:
            server.shutdown()
            server.server_close()


if __name__ == "__main__":
    unittest.main()
