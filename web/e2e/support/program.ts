// The program under test: a running one, or one started here, beside a real
// LiveKit or with its own media server.

import { existsSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { freePort, freeUdpPort, Server } from './processes';

const ROOT = resolve(import.meta.dirname, '../../..');
const KEY = 'devkey';
const SECRET = 'a-secret-for-tests-of-at-least-32-characters';

/** What a test may do with the servers. A program that was started elsewhere cannot be restarted. */
export interface Program {
  url: string;
  /** `livekit`, `embedded`, or `given` for BASE_URL. */
  mode: 'livekit' | 'embedded' | 'given';
  program: Server | null;
  livekit: Server | null;
  stop(): Promise<void>;
}

/** Starts what is to be tested. `settings` are environment variables of the program. */
export async function startProgram(settings: Record<string, string> = {}): Promise<Program> {
  const given = process.env.BASE_URL;
  if (given !== undefined && given !== '') {
    return {
      url: given.replace(/\/$/, ''),
      mode: 'given',
      program: null,
      livekit: null,
      stop: async () => undefined,
    };
  }
  const mode = process.env.MODE === 'embedded' ? 'embedded' : 'livekit';
  const folder = mkdtempSync(join(tmpdir(), 'livestream-e2e-'));
  const logs = resolve(import.meta.dirname, '../../test-output');
  mkdirSync(logs, { recursive: true });
  const port = await freePort();
  const livekit = mode === 'livekit' ? await liveKit(folder, logs, port) : null;
  await livekit?.server.start();
  const media: Record<string, string> =
    livekit === null
      ? { MEDIA_PORT: String(await freePort()), MEDIA_UDP_PORT: String(await freeUdpPort()) }
      : { LIVEKIT_HOST: livekit.url, LIVEKIT_API_KEY: KEY, LIVEKIT_API_SECRET: SECRET };
  const url = `http://127.0.0.1:${port}`;
  const env = {
    PORT: String(port),
    DATA_DIR: join(folder, 'data'),
    RATE_LIMIT: 'off',
    ...media,
    ...settings,
  };
  const program = new Server(binary(), [], env, folder, `${url}/readyz`, join(logs, 'livestream.log'));
  await program.start();
  const stop = async () => {
    await program.stop('SIGKILL');
    await livekit?.server.stop('SIGKILL');
  };
  return { url, mode, program, livekit: livekit?.server ?? null, stop };
}

async function liveKit(
  folder: string,
  logs: string,
  program: number,
): Promise<{ url: string; server: Server }> {
  const [port, tcp, udp] = [await freePort(), await freePort(), await freeUdpPort()];
  const config = join(folder, 'livekit.yaml');
  writeFileSync(
    config,
    `port: ${port}
bind_addresses: ["127.0.0.1"]
rtc:
  tcp_port: ${tcp}
  udp_port: ${udp}
  node_ip: 127.0.0.1
  use_external_ip: false
  enable_loopback_candidate: true
keys:
  "${KEY}": "${SECRET}"
webhook:
  api_key: "${KEY}"
  urls: ["http://127.0.0.1:${program}/webhook"]
logging:
  level: warn
`,
  );
  const command = process.env.LIVEKIT_SERVER_BIN ?? join(ROOT, '.tools/bin/server');
  if (!existsSync(command)) throw new Error(`LIVEKIT_SERVER_BIN is not set and ${command} does not exist`);
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    server: new Server(command, ['--config', config], {}, folder, url, join(logs, 'livekit.log')),
  };
}

/** The program under test. */
export function binary(): string {
  const named = process.env.LIVESTREAM_BIN;
  const builds = ['target/release/livestream', 'target/debug/livestream'].map((path) => join(ROOT, path));
  const found = named ?? builds.find(existsSync);
  if (found === undefined)
    throw new Error('LIVESTREAM_BIN is not set and there is no build; run `make build`');
  return found;
}
