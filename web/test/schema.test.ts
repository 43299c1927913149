// The generated types are those of the API's own document.

import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const DOCUMENT = '../crates/server/openapi.json';

interface Schema {
  properties?: Record<string, unknown>;
  enum?: string[];
}

/** What the generated file lacks of one schema. */
function lacking(types: string, name: string, schema: Schema): string[] {
  const at = types.search(new RegExp(`^ {8}${name}: `, 'm'));
  const text = types.slice(at, types.indexOf('\n        };', at) + 1 || undefined);
  const members = Object.keys(schema.properties ?? {}).filter(
    (member) => !new RegExp(`\\b${member}\\??:`).test(text),
  );
  const words = (schema.enum ?? []).filter((word) => !types.includes(`"${word}"`));
  const named = types.includes(`export type ${name} =`) ? [] : [name];
  return [...named, ...[...members, ...words].map((part) => `${name}.${part}`)];
}

describe('the generated types', () => {
  it.runIf(existsSync(DOCUMENT))('know every schema, member and word of the API', () => {
    const { components } = JSON.parse(readFileSync(DOCUMENT, 'utf8')) as {
      components: { schemas: Record<string, Schema> };
    };
    const types = readFileSync('src/api/schema.gen.ts', 'utf8');
    const missing = Object.entries(components.schemas).flatMap(([name, schema]) =>
      lacking(types, name, schema),
    );
    expect(missing, 'run `npm run api`').toEqual([]);
  });
});
