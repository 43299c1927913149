// The generated types are those of the API's own document: they are generated again and compared.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const DOCUMENT = '../crates/server/openapi.json';

describe('the generated types', () => {
  it.runIf(existsSync(DOCUMENT))(
    'are what the document makes them',
    () => {
      const generated = execFileSync('npm', ['run', '--silent', 'api:print'], {
        encoding: 'utf8',
        maxBuffer: 1 << 24,
        // The generator is fetched the first time; its own words belong to nobody.
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      const kept = readFileSync('src/api/schema.gen.ts', 'utf8');
      expect(generated === kept, 'the API has changed: run `npm run api`').toBe(true);
    },
    120_000,
  );
});
