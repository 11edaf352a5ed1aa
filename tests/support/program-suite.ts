import { join } from 'node:path';
import { after, before } from 'node:test';
import { login, register } from './client.ts';
import { Program } from './program.ts';
import { suiteFolder } from './temp.ts';

/** A started program for all tests of a suite, with Ann logged in. Look into it inside of tests only. */
export interface ProgramSuite {
  readonly program: Program;
  readonly token: string;
  /** A folder for what the tests write. */
  readonly folder: string;
}

/** Call it in a suite: starts the program before its tests and stops it after them. */
export function programSuite(settings: Readonly<Record<string, string>>): ProgramSuite {
  const folder = suiteFolder({ before, after });
  let program: Program | undefined;
  let token: string | undefined;
  before(async () => {
    program = await Program.start(join(folder(), 'data'), settings);
    await register(program.url);
    token = await login(program.url);
  });
  after(() => program?.stop());
  return {
    get program() {
      if (program === undefined) throw new Error('The program runs only after the before hook');
      return program;
    },
    get token() {
      if (token === undefined) throw new Error('Ann is logged in only after the before hook');
      return token;
    },
    get folder() {
      return folder();
    },
  };
}
