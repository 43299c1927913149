"""One participant of a stream, for tests: LiveKit's own SDK, driven by lines of JSON.

Reads commands from standard input, one JSON object a line:
  {"do": "connect", "url": "ws://…", "token": "…"}
  {"do": "publish"}      synthetic video (160x120, 10 frames a second) and audio
  {"do": "unpublish"}
  {"do": "leave"}        says goodbye and ends
Writes what happens to standard output, one JSON object a line, each with "event".
The end of standard input ends it too, so that it never outlives its test.
"""

import asyncio
import json
import sys

from livekit import rtc

WIDTH, HEIGHT, FRAMES_PER_SECOND = 160, 120, 10
SAMPLE_RATE, SAMPLES = 48_000, 480


def tell(event, **details):
    print(json.dumps({"event": event, **details}), flush=True)


class Participant:
    def __init__(self):
        self.room = rtc.Room()
        self.tasks = []
        self.publications = []
        self.listen()

    def listen(self):
        room = self.room
        room.on("reconnecting", lambda: tell("reconnecting"))
        room.on("reconnected", lambda: self.tell_self("reconnected"))
        room.on("disconnected", lambda reason: tell("disconnected", reason=str(reason)))
        room.on("participant_connected", lambda who: tell("participant_connected", identity=who.identity))
        room.on("participant_disconnected", lambda who: tell("participant_disconnected", identity=who.identity))
        room.on("track_subscribed", self.on_track)

    def tell_self(self, event):
        me = self.room.local_participant
        tell(event, sid=me.sid, identity=me.identity)

    def on_track(self, track, _publication, who):
        tell("track_subscribed", identity=who.identity, kind=int(track.kind))
        if track.kind == rtc.TrackKind.KIND_VIDEO:
            self.tasks.append(asyncio.ensure_future(self.first_frame(track, who.identity)))

    async def first_frame(self, track, identity):
        async for _frame in rtc.VideoStream(track):
            tell("frame", identity=identity)
            return

    async def connect(self, url, token):
        await self.room.connect(url, token)
        self.tell_self("connected")

    async def publish(self):
        video = rtc.VideoSource(WIDTH, HEIGHT)
        audio = rtc.AudioSource(SAMPLE_RATE, 1)
        tracks = [
            (rtc.LocalVideoTrack.create_video_track("camera", video), rtc.TrackSource.SOURCE_CAMERA),
            (rtc.LocalAudioTrack.create_audio_track("microphone", audio), rtc.TrackSource.SOURCE_MICROPHONE),
        ]
        for track, source in tracks:
            options = rtc.TrackPublishOptions(source=source)
            self.publications.append(await self.room.local_participant.publish_track(track, options))
        self.tasks += [asyncio.ensure_future(show(video)), asyncio.ensure_future(hum(audio))]
        tell("published")

    async def unpublish(self):
        for publication in self.publications:
            await self.room.local_participant.unpublish_track(publication.sid)
        self.publications.clear()
        tell("unpublished")

    async def leave(self):
        for task in self.tasks:
            task.cancel()
        await self.room.disconnect()
        tell("left")


async def show(source):
    step = 0
    while True:
        step = (step + 8) % 256
        frame = rtc.VideoFrame(WIDTH, HEIGHT, rtc.VideoBufferType.RGBA, bytes([step, 128, 255 - step, 255]) * (WIDTH * HEIGHT))
        source.capture_frame(frame)
        await asyncio.sleep(1 / FRAMES_PER_SECOND)


async def hum(source):
    wave = b"".join(int(3000 * ((at % 96) / 48 - 1)).to_bytes(2, "little", signed=True) for at in range(SAMPLES))
    while True:
        await source.capture_frame(rtc.AudioFrame(wave, SAMPLE_RATE, 1, SAMPLES))


async def main():
    participant = Participant()
    loop = asyncio.get_running_loop()
    while True:
        line = await loop.run_in_executor(None, sys.stdin.readline)
        if not line:
            return
        command = json.loads(line)
        do = command.pop("do")
        try:
            await getattr(participant, do)(**command)
        except Exception as error:  # The test decides whether a refusal is what it wants.
            tell("error", do=do, message=f"{type(error).__name__}: {error}")
        if do == "leave":
            return


asyncio.run(main())
