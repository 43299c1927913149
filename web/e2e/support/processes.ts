// Servers started for a test, on free ports, ended by their ids.

import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { closeSync, openSync } from 'node:fs';
import { createServer } from 'node:net';

/** A TCP port that is free now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

/** A UDP port that is free now. */
export function freeUdpPort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4');
    socket.once('error', reject);
    socket.bind(0, '127.0.0.1', () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
}

/** One server process. */
export class Server {
  #child: ChildProcess | null = null;

  constructor(
    private readonly command: string,
    private readonly args: string[],
    private readonly env: Record<string, string>,
    private readonly folder: string,
    /** Answers 200 when the server is ready; or asks itself. */
    private readonly ready: string | (() => Promise<boolean>),
    private readonly log: string,
  ) {}

  /** Starts it and waits until it answers. */
  async start(): Promise<void> {
    const log = openSync(this.log, 'a');
    const env = { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ...this.env };
    this.#child = spawn(this.command, this.args, { cwd: this.folder, env, stdio: ['ignore', log, log] });
    closeSync(log);
    for (const deadline = Date.now() + 15_000; Date.now() < deadline; await sleep(50)) {
      if (this.#child.exitCode !== null) throw new Error(`${this.command} ended by itself; see ${this.log}`);
      if (await this.#isReady().catch(() => false)) return;
    }
    throw new Error(`${this.command} did not get ready; see ${this.log}`);
  }

  async #isReady(): Promise<boolean> {
    return typeof this.ready === 'string' ? (await fetch(this.ready)).ok : this.ready();
  }

  /** Sends signals, a moment apart, and waits for the end; what does not end is killed. */
  async stop(...signals: NodeJS.Signals[]): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    for (const signal of signals) {
      child.kill(signal);
      await sleep(300);
    }
    const timer = setTimeout(() => child.kill('SIGKILL'), 15_000);
    await ended;
    clearTimeout(timer);
  }
}

/** Waits. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
