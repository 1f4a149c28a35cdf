// What the member has to know, as it comes.

import { useEffect, useState } from 'preact/hooks';
import type { Notification } from '../api/types';
import { Button, Empty, Failed, Skeleton } from '../parts/basics';
import { Icon, type IconName } from '../parts/icons';
import { Page } from '../parts/shell';
import { isLoadingNotices, moreNotices, noticeRows, notices, readNotice, unreadNotices } from '../state/stores';
import { toast } from '../state/toasts';
import { t } from '../strings';
import { ago, moment, problem } from '../words';

/** Where a notification leads, and its icon. */
function leads({ type, fromUserId }: Notification): { href: string; icon: IconName } {
  if (type === 'CONNECTION_REQUEST') return { href: '/app/requests', icon: 'requests' };
  if (type === 'CONNECTION_ACCEPTED' || type === 'MESSAGE_SENT') {
    return {
      href: fromUserId ? `/app/chat/${fromUserId}` : '/app/chat',
      icon: type === 'MESSAGE_SENT' ? 'chat' : 'people',
    };
  }
  return { href: '/app/notifications', icon: 'bell' };
}

export function NotificationsPage() {
  useEffect(() => void notices.need(), []);
  const [isBusy, setBusy] = useState(false);
  const { error, isLoading, value } = notices.state.value;
  const rows = noticeRows.value;
  const fail = (error: unknown) => toast(problem(error), { isError: true });
  const readAll = async () => {
    setBusy(true);
    try {
      for (const row of noticeRows.peek() ?? []) await readNotice(row);
    } catch (error) {
      fail(error);
    }
    setBusy(false);
  };
  const now = Date.now();
  return (
    <Page
      title={t.notifications.title}
      class="narrow"
      actions={
        unreadNotices.value > 0 || isBusy ? (
          <Button isBusy={isBusy} onPress={() => void readAll()}>
            {t.notifications.readAll}
          </Button>
        ) : undefined
      }
    >
      {error !== undefined && <Failed error={error} again={() => void notices.load()} />}
      {rows === undefined && isLoading && <Skeleton kind="row" />}
      {rows?.length === 0 && (
        <Empty
          icon="bell"
          title={t.notifications.none}
          action={
            <a class="button primary" href="/app/feed">
              {t.requests.discover}
            </a>
          }
        >
          {t.notifications.noneText}
        </Empty>
      )}
      <ul class="rows notices">
        {rows?.map((row) => {
          const { href, icon } = leads(row);
          const at = row.createdAt ? Date.parse(row.createdAt) : undefined;
          return (
            <li key={row._id} class={row.readAt ? '' : 'new'}>
              <a href={href} onClick={() => void readNotice(row).catch(fail)}>
                <span class="round small">
                  <Icon name={icon} />
                </span>
                <span class="who">
                  <span class="name">
                    {!row.readAt && <span class="hidden">{t.notifications.isNew} </span>}
                    {row.message || t.notifications.unknown}
                  </span>
                  {at !== undefined && (
                    <time class="note" dateTime={row.createdAt ?? ''} title={moment(at)}>
                      {ago(at, now)}
                    </time>
                  )}
                </span>
              </a>
            </li>
          );
        })}
      </ul>
      {value?.next !== undefined && (
        <div class="more">
          <Button isBusy={isLoadingNotices.value} onPress={() => void moreNotices().catch(fail)}>
            {t.more}
          </Button>
        </div>
      )}
    </Page>
  );
}
