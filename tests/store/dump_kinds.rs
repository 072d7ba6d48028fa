//! Dumps and loads of what has more to it than rows: dicts with a seal and indexes, lists with their order.

use millpond::{Error, Json, Load, Result, SealKey, Store};

use crate::backends::begin;
use crate::dumps::{dumped, fill, load};

each_backend! {
    dump_of_a_dict_has_its_seal_and_its_indexes
    load_of_a_list_comes_behind_it_or_in_its_place
}

async fn dump_of_a_dict_has_its_seal_and_its_indexes(store: Store) -> Result<()> {
    fill(&store).await?;
    let other = Store::memory().await?;
    load(&other, &dumped(&store).await?, Load::new()).await?;
    let secrets = other.sealed_dict::<u64>("secrets", SealKey::bytes([7; 32]));
    assert_eq!(secrets.get("pin").await?.as_deref(), Some(&1_234));
    let wrong = other.sealed_dict::<u64>("secrets", SealKey::bytes([8; 32])).get("pin").await;
    assert!(matches!(wrong, Err(Error::WrongKey { .. })), "{wrong:?}");
    let indexes = other.dict::<Json>("people").indexes().await?;
    assert!(indexes.len() == 1 && indexes[0].complete, "{indexes:?}");
    // What is kept otherwise does not come behind it.
    let plain = Store::memory().await?;
    plain.dict::<u64>("secrets").set("pin", &1).await?;
    let text = dumped(&store).await?;
    let refused = load(&plain, &text, Load::new().only("dict/secrets").append()).await;
    assert!(matches!(refused, Err(Error::LoadRefused { .. })), "{refused:?}");
    assert_eq!(plain.dict::<u64>("secrets").get("pin").await?.as_deref(), Some(&1));
    load(&plain, &text, Load::new().only("dict/secrets").replace()).await?;
    let secrets = plain.sealed_dict::<u64>("secrets", SealKey::bytes([7; 32]));
    assert_eq!(secrets.get("pin").await?.as_deref(), Some(&1_234));
    plain.close().await?;
    other.close().await
}

async fn load_of_a_list_comes_behind_it_or_in_its_place(store: Store) -> Result<()> {
    fill(&store).await?;
    let text = dumped(&store).await?;
    let only = || Load::new().only("list");
    let all = async || {
        let (mut items, mut found) = (store.list::<String>("steps").items(..), Vec::new());
        while let Some(item) = items.next().await {
            found.push(item?.into_value());
        }
        Ok::<_, Error>(found)
    };
    let waits = store.list::<String>("later");
    let waiting = begin(waits.pop_front());
    assert!(matches!(load(&store, &text, only()).await, Err(Error::Exists { kind: "list", .. })));
    load(&store, &text, only().append()).await?;
    assert_eq!(all().await?, ["measure", "saw", "measure", "saw"]);
    store.list::<String>("steps").push_back(&"more".to_owned()).await?;
    load(&store, &text, only().replace()).await?;
    assert_eq!(all().await?, ["measure", "saw"]);
    load(&store, &text.replace("\"steps\"", "\"later\""), only()).await.unwrap_err();
    waits.push_back(&"x".to_owned()).await?;
    assert_eq!(waiting.await?, "x");
    Ok(())
}
