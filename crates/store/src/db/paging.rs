//! Pages of long lists, newest first, in a time that does not grow with the page's number.
//!
//! `OFFSET` walks over every row before the page. So the database counts, by triggers, how many
//! rows have their key in each span of 2^30, 2^25, 2^20, 2^15 and 2^10 keys; going down through them
//! (at most 32 counts each, below the first) leads to a place fewer than 1,024 rows away from the page.
//!
//! A list that is searched has to look at every row for its total anyway; its page is then found
//! from whichever end is nearer, in an index that holds what is searched.

use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, DbErr, EntityTrait, FromQueryResult,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait as _,
};

use crate::{Page, entity::list_position};

/// The spans that are counted, as powers of two; each block holds 2^5 of the next.
const SPANS: [i64; 5] = [30, 25, 20, 15, LAST];
/// The number of bits by which one span differs from the next.
const STEP: i64 = 5;
/// The number of bits by which the last differs from single keys.
const LAST: i64 = 10;

/// Where a row stands in its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    /// Its key is less than this.
    below: i64,
    /// So many rows with such a key come before it, newest first.
    skip: u64,
}

/// How many rows a list has.
async fn total<C: ConnectionTrait>(connection: &C, list: &str) -> Result<u64, DbErr> {
    let blocks = blocks(connection, list, SPANS[0], None).await?;
    let total: i64 = blocks.iter().map(|block| block.amount).sum();
    Ok(total.unsigned_abs())
}

/// The blocks of a span, newest first: all of them, or those that make up a block of the span
/// above.
async fn blocks<C: ConnectionTrait>(
    connection: &C,
    list: &str,
    span: i64,
    within: Option<i64>,
) -> Result<Vec<list_position::Model>, DbErr> {
    let mut query = list_position::Entity::find()
        .filter(list_position::Column::List.eq(list))
        .filter(list_position::Column::Span.eq(span));
    if let Some(block) = within {
        let (first, end) = (block << STEP, (block + 1) << STEP);
        query = query.filter(list_position::Column::Block.between(first, end - 1));
    }
    query
        .order_by_desc(list_position::Column::Block)
        .all(connection)
        .await
}

/// The place of the row that has `before` newer ones; `None` behind the end.
async fn find<C: ConnectionTrait>(
    connection: &C,
    list: &str,
    before: u64,
) -> Result<Option<Place>, DbErr> {
    let Ok(mut skip) = i64::try_from(before) else {
        return Ok(None);
    };
    if skip == 0 {
        // The newest rows need no way to them.
        return Ok(Some(Place {
            below: i64::MAX,
            skip: 0,
        }));
    }
    let mut within = None;
    for span in SPANS {
        let mut found = None;
        for block in blocks(connection, list, span, within).await? {
            if skip < block.amount {
                found = Some(block.block);
                break;
            }
            skip -= block.amount;
        }
        let Some(block) = found else {
            return Ok(None);
        };
        within = Some(block);
    }
    Ok(within.map(|block| Place {
        below: (block + 1) << LAST,
        skip: skip.unsigned_abs(),
    }))
}

/// A page of a list whose table's positions are counted by `key`, newest first, and how many rows
/// there are on all pages. `search` is what its rows must fulfil.
pub(crate) async fn page<E, C>(
    connection: &C,
    key: E::Column,
    search: Option<Condition>,
    page: Page,
) -> Result<(Vec<E::Model>, u64), DbErr>
where
    E: EntityTrait,
    E::Model: FromQueryResult + Send + Sync,
    C: ConnectionTrait,
{
    let (before, limit) = page.bounds();
    let list = E::default().table_name().to_owned();
    let newest_first = E::find().order_by_desc(key);
    let Some(search) = search else {
        let total = total(connection, &list).await?;
        let rows = match limit {
            None => newest_first.all(connection).await?,
            Some(limit) => match find(connection, &list, before).await? {
                None => Vec::new(),
                Some(place) => {
                    newest_first
                        .filter(key.lt(place.below))
                        .offset(place.skip)
                        .limit(limit)
                        .all(connection)
                        .await?
                }
            },
        };
        return Ok((rows, total));
    };
    let matching = E::find().filter(search);
    let total = matching.clone().count(connection).await?;
    let Some(limit) = limit else {
        let rows = matching.order_by_desc(key).all(connection).await?;
        return Ok((rows, total));
    };
    let amount = limit.min(total.saturating_sub(before));
    if amount == 0 {
        return Ok((Vec::new(), total));
    }
    let behind = total - before - amount;
    let keys = matching.select_only().column(key);
    let keys = if behind < before {
        keys.order_by_asc(key).offset(behind)
    } else {
        keys.order_by_desc(key).offset(before)
    };
    let rows = newest_first
        .filter(key.in_subquery(keys.limit(amount).into_query()))
        .all(connection)
        .await?;
    Ok((rows, total))
}

#[cfg(test)]
#[path = "paging_tests.rs"]
mod tests;
