import { registrationOf, type Config } from '../config/config.ts';
import { dataFolderOf, isLocal, keepsMail, portUrls, shownUrl } from '../host/profiles.ts';
import { hasOwnAuth } from '../host/requirements.ts';
import type { Host } from '../host/host.ts';
import { openEngine, type RoleName } from '../host/roles.ts';

/** What a person sees when the process has started: where it listens, and lines ready to paste. */
export async function banner(
  config: Config,
  roles: readonly RoleName[],
  { url, healthUrl }: Pick<Host, 'url' | 'healthUrl'>,
): Promise<string> {
  const lines = [`Audiowave runs: ${roles.join(', ')}`, `  data     ${dataFolderOf(config)}`];
  if (url !== undefined) lines.push(`  listens  ${url}`);
  if (healthUrl !== undefined) lines.push(`  health   ${healthUrl}/readyz`);
  if (roles.includes('converter')) lines.push(`  encoder  ${await encoderLine(config)}`);
  if (roles.includes('notification')) lines.push(`  mail     ${mailLine(config)}`);
  if (url !== undefined && roles.includes('gateway')) lines.push(...gatewayLines(config, roles, url));
  return `${lines.join('\n')}\n`;
}

async function encoderLine(config: Config): Promise<string> {
  try {
    const { kind, version, path } = await (await openEngine(config)).program();
    return `${kind} ${version}${path === undefined ? '' : ` (${path})`}`;
  } catch (error) {
    return `none: ${error instanceof Error ? error.message : String(error)} See: npx audiowave doctor`;
  }
}

function mailLine(config: Config): string {
  const url = portUrls(config).mail;
  return keepsMail(url)
    ? `stays in the outbox, ${url?.slice('outbox:'.length) ?? ''}, until a mail server is configured`
    : `goes to ${shownUrl(url ?? 'no mail server')}`;
}

function gatewayLines(config: Config, roles: readonly RoleName[], url: string): string[] {
  return [
    '',
    ...accountLines(config, roles, url),
    '',
    'Then log in, send a video, and download the MP3 (its fid stands in the mail):',
    `  TOKEN=$(curl -s -X POST ${url}/login -u ann@example.com:secret)`,
    `  curl -X POST -F "file=@video.mp4" -H "Authorization: Bearer $TOKEN" ${url}/upload`,
    `  curl -X GET -H "Authorization: Bearer $TOKEN" --output out.mp3 "${url}/download?fid=<fid from the mail>"`,
    '',
  ];
}

function accountLines(config: Config, roles: readonly RoleName[], url: string): string[] {
  const { users, auth } = portUrls(config);
  if (!hasOwnAuth(config, new Set(roles))) {
    return [
      `Accounts are kept by auth, ${shownUrl(auth ?? '')}; with its settings: audiowave user add ann@example.com`,
    ];
  }
  const isElsewhere = config.dataFolder !== './data' && isLocal(users ?? '');
  const data = isElsewhere ? `AUDIOWAVE_DATA='${dataFolderOf(config)}' ` : '';
  const page = registrationOf(config) === 'open' ? ` (or register on the page, ${url}/)` : '';
  return [
    `Make an account${page}:`,
    `  printf '%s' 'secret' | ${data}npx audiowave user add ann@example.com --password-stdin`,
  ];
}
