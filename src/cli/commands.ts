type Command = (args: readonly string[]) => Promise<number>;

// Each command is imported when it is called, so that `convert` starts without loading the servers.
/** Command → what runs it. */
export const COMMANDS: Readonly<Record<string, Command>> = {
  serve: async (args) => (await import('./serve.ts')).serve(args),
  user: async (args) => (await import('./user.ts')).user(args),
  convert: async (args) => (await import('./convert.ts')).convert(args),
  queues: async (args) => (await import('./queues.ts')).queues(args),
  doctor: async (args) => (await import('./doctor.ts')).doctor(args),
  version: async () => (await import('./version.ts')).version(),
};

export const USAGE = `Audiowave turns video into MP3.

  audiowave serve [auth] [gateway] [converter] [notification]
      Starts these roles in one process; all four where none is named.

  audiowave convert <video…> [-o <mp3>] [--bitrate 192k | --vbr 2]
      Converts files here, without a server. "-" is standard input or output.

  audiowave user add <email> [--role admin] [--password-stdin]
  audiowave user passwd <email> [--password-stdin]
  audiowave user list
  audiowave user remove <email>
      Keeps the accounts; works while the server runs.

  audiowave queues
      Says of each queue how many messages wait, are being worked on, and have ended as dead letters.
  audiowave queues dead <queue> [--limit <number>]
  audiowave queues replay <queue> [<message id>]
  audiowave queues drop <queue> <message id> | --all
      Shows dead letters, sends them again (a failed conversion starts anew), or forgets them.

  audiowave doctor [auth] [gateway] [converter] [notification]
      Says what these roles find, servers included, what is missing and what to do.

  audiowave version

Every setting of docs/configuration.md is an environment variable or a flag:
  AUDIOWAVE_PORT=9000 audiowave serve     audiowave serve --port 9000
`;
