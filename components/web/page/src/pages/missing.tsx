// An address that leads nowhere.

import { Empty } from '../parts/basics';
import { Page } from '../parts/shell';
import { t } from '../strings';

export function MissingPage() {
  return (
    <Page title={t.missing.title}>
      <Empty
        icon="discover"
        title={t.missing.what}
        action={
          <a class="button primary" href="/app/feed">
            {t.missing.back}
          </a>
        }
      >
        {t.missing.text}
      </Empty>
    </Page>
  );
}
