// npm livekit-server-sdk against RoomService, and as a verifier of webhooks.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { DataPacket_Kind, RoomServiceClient, WebhookReceiver } from "livekit-server-sdk";
import { http, key, roomName, secret, service, until } from "./support.mjs";

describe("livekit-server-sdk", () => {
  test("creates, lists, changes and deletes rooms", async () => {
    const [rooms, name] = [service(), roomName("sdk")];
    const room = await rooms.createRoom({ name, emptyTimeout: 60, maxParticipants: 5, metadata: "m" });
    assert.match(room.sid, /^RM_/);
    assert.deepEqual([room.name, room.emptyTimeout, room.maxParticipants, room.metadata], [name, 60, 5, "m"]);
    assert.equal((await rooms.createRoom({ name, maxParticipants: 9 })).sid, room.sid);
    assert.equal((await rooms.listRooms([name]))[0].maxParticipants, 5);
    assert.equal((await rooms.updateRoomMetadata(name, "n")).metadata, "n");
    assert.deepEqual(await rooms.listParticipants(name), []);
    await rooms.sendData(name, new TextEncoder().encode("hi"), DataPacket_Kind.RELIABLE, { topic: "t" });
    await assert.rejects(rooms.getParticipant(name, "nobody"), (e) => e.code === "not_found" && e.status === 404);
    await rooms.deleteRoom(name);
    assert.deepEqual(await rooms.listRooms([name]), []);
    await assert.rejects(rooms.deleteRoom(name), (e) => e.code === "not_found");
  });

  test("is refused with a wrong secret", async () => {
    const forged = new RoomServiceClient(http, key, "not the secret, but just as long as it");
    await assert.rejects(forged.listRooms(), (e) => e.status === 401);
  });

  const port = Number(process.env.WEBHOOK_PORT ?? 0);
  describe("as a webhook verifier", { skip: port === 0 && "WEBHOOK_PORT is not set" }, () => {
    const events = [];
    let server;
    before(async () => {
      const receiver = new WebhookReceiver(key, secret);
      server = createServer(async (request, response) => {
        const chunks = [];
        for await (const chunk of request) chunks.push(chunk);
        try {
          events.push(await receiver.receive(Buffer.concat(chunks).toString(), request.headers.authorization));
          response.end();
        } catch (error) {
          events.push({ event: `refused: ${error}` });
          response.writeHead(400).end();
        }
      });
      await new Promise((done) => server.listen(port, "127.0.0.1", done));
    });
    after(() => server.close());

    test("verifies room_started and room_finished", async () => {
      const name = roomName("hooks");
      await service().createRoom({ name });
      await service().deleteRoom(name);
      const mine = () => events.filter((e) => e.room?.name === name);
      await until("both events", () => mine().length === 2);
      assert.deepEqual(mine().map((e) => e.event), ["room_started", "room_finished"]);
      assert.match(mine()[0].id, /^EV_/);
      assert.ok(!events.some((e) => e.event.startsWith("refused")), JSON.stringify(events));
    });
  });
});
